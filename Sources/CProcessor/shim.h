// What the processor can be told that Swift has no words for.
static inline void cprocessor_prefetch(const void *place) { __builtin_prefetch(place); }
