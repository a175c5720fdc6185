// libFuzzer's own entry, for programs that have a main of their own (llvm.org/docs/LibFuzzer.html,
// "Using libFuzzer as a library"). The library comes with -sanitize=fuzzer.
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*play)(const uint8_t *data, size_t size));
