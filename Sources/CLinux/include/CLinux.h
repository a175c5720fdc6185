// What Swift can't import from the C library, as plain functions over plain integers.
// Each returns -errno on failure. `_GNU_SOURCE` stays in the .c file: in a header it would
// give two C modules different ideas of the same types.
#ifndef CLINUX_H
#define CLINUX_H

#include <stdint.h>
#include <stddef.h>

struct clinux_event {
    uint64_t token;
    uint32_t ready;  // bits below
};

enum {
    CLINUX_READABLE = 1,
    CLINUX_WRITABLE = 2,
    CLINUX_HANGUP = 4,
    CLINUX_EXCLUSIVE = 8,
};

int clinux_epoll_create(void);
// interest: CLINUX_READABLE | CLINUX_WRITABLE, and CLINUX_EXCLUSIVE to add; operation 0 add, 1 modify, 2 remove
int clinux_epoll_control(int epoll, int operation, int descriptor, uint32_t interest, uint64_t token);
int clinux_epoll_wait(int epoll, struct clinux_event *events, int capacity, int timeout_milliseconds);
int clinux_eventfd(void);

// family 4 or 6 with `port` in host order and `address` of 4 or 16 bytes; 1 = Unix path of `length` bytes, whose
// file is for owner and group (0660) when it listens
int clinux_listen(int family, const uint8_t *address, int length, uint16_t port, int backlog, int reuse_port);
int clinux_connect(int family, const uint8_t *address, int length, uint16_t port);
int clinux_connect_result(int descriptor);
// the process that listens at the other end of a Unix socket; 0 if it is of another namespace
int clinux_peer_process(int descriptor);
// fills family, 16 address bytes and port of the peer
int clinux_accept(int listener, int *family, uint8_t *address, uint16_t *port);
int clinux_local_port(int descriptor);
int clinux_pin_to_core(int core);
int clinux_core_count(void);
void clinux_name_thread(const char *name);
int64_t clinux_monotonic_nanoseconds(void);
int64_t clinux_realtime_nanoseconds(void);
// numeric or DNS name to addresses: writes up to `capacity` records of 17 bytes (family, 16 address bytes)
int clinux_resolve(const char *name, uint8_t *records, int capacity);
const char *clinux_resolve_failure(int code);
int clinux_raise_descriptor_limit(void);
// Gives memory back to the system that the allocator has kept.
void clinux_trim_memory(void);
void clinux_use_one_arena(void);
// Writes each line of stdout when it ends.
void clinux_line_buffer_stdout(void);
// Begins to write a file's range to disk without waiting; drops a range that is there from memory.
void clinux_start_writing(int descriptor, int64_t offset, int64_t count);
void clinux_drop_written(int descriptor, int64_t offset, int64_t count);

#endif
