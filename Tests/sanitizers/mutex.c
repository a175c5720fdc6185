// Tells ThreadSanitizer about the contended half of Swift's Mutex.
//
// On Linux a Mutex is one word and FUTEX_LOCK_PI. An uncontended lock or unlock is a compare-and-swap
// that the compiler puts into our own code, so ThreadSanitizer sees it. A contended one calls into
// libswiftSynchronization, which isn't instrumented, and there the kernel changes the word: no order is
// seen between the two sides, and everything under a contended lock is reported as a race.
//
// These two functions stand in front of the library's (LD_PRELOAD) and say what the kernel promises:
// who gets the lock has seen all that came before it was let go. Nothing else is hidden, and nothing of
// this is in what ships.
//
//     clang -shared -fPIC -O1 -o libmutex.so mutex.c -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

void __tsan_acquire(void *place) __attribute__((weak));
void __tsan_release(void *place) __attribute__((weak));

#define SWIFT_METHOD __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *self

typedef SWIFT_METHOD void lock_function(uint32_t thread, SELF);
typedef SWIFT_METHOD void unlock_function(SELF);

// _MutexHandle._lockSlow(UInt32)
SWIFT_METHOD void lock_slow(uint32_t thread, SELF) __asm__("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
// _MutexHandle._unlockSlow()
SWIFT_METHOD void unlock_slow(SELF) __asm__("$s15Synchronization12_MutexHandleV11_unlockSlowyyF");

SWIFT_METHOD void lock_slow(uint32_t thread, SELF) {
    static lock_function *next;
    lock_function *found = __atomic_load_n(&next, __ATOMIC_RELAXED);
    if (!found) {
        found = (lock_function *)dlsym(RTLD_NEXT, "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
        __atomic_store_n(&next, found, __ATOMIC_RELAXED);
    }
    found(thread, self);
    if (__tsan_acquire) __tsan_acquire(self);
}

SWIFT_METHOD void unlock_slow(SELF) {
    static unlock_function *next;
    unlock_function *found = __atomic_load_n(&next, __ATOMIC_RELAXED);
    if (!found) {
        found = (unlock_function *)dlsym(RTLD_NEXT, "$s15Synchronization12_MutexHandleV11_unlockSlowyyF");
        __atomic_store_n(&next, found, __ATOMIC_RELAXED);
    }
    if (__tsan_release) __tsan_release(self);
    found(self);
}
