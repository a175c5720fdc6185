#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BATCH 512

int clinux_epoll_create(void) {
    int descriptor = epoll_create1(EPOLL_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
}

int clinux_epoll_control(int epoll, int operation, int descriptor, uint32_t interest, uint64_t token) {
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    if (interest & CLINUX_READABLE) event.events |= EPOLLIN;
    if (interest & CLINUX_WRITABLE) event.events |= EPOLLOUT;
    if (interest & CLINUX_EXCLUSIVE) event.events |= EPOLLEXCLUSIVE;
    event.data.u64 = token;
    static const int operations[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
    return epoll_ctl(epoll, operations[operation], descriptor, &event) < 0 ? -errno : 0;
}

int clinux_epoll_wait(int epoll, struct clinux_event *events, int capacity, int timeout_milliseconds) {
    struct epoll_event batch[BATCH];
    int count = epoll_wait(epoll, batch, capacity < BATCH ? capacity : BATCH, timeout_milliseconds);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        uint32_t ready = 0;
        if (batch[i].events & EPOLLIN) ready |= CLINUX_READABLE;
        if (batch[i].events & EPOLLOUT) ready |= CLINUX_WRITABLE;
        if (batch[i].events & (EPOLLHUP | EPOLLERR)) ready |= CLINUX_HANGUP;
        events[i].token = batch[i].data.u64;
        events[i].ready = ready;
    }
    return count;
}

int clinux_eventfd(void) {
    int descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
}

static socklen_t fill(struct sockaddr_storage *storage, int family, const uint8_t *address, int length,
                      uint16_t port) {
    memset(storage, 0, sizeof *storage);
    if (family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)storage;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, address, 4);
        return sizeof *in;
    }
    if (family == 6) {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)storage;
        in->sin6_family = AF_INET6;
        in->sin6_port = htons(port);
        memcpy(&in->sin6_addr, address, 16);
        return sizeof *in;
    }
    struct sockaddr_un *un = (struct sockaddr_un *)storage;
    un->sun_family = AF_UNIX;
    if (length >= (int)sizeof un->sun_path) return 0;
    memcpy(un->sun_path, address, (size_t)length);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length + 1);
}

static int stream_socket(int family) {
    int domain = family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNIX;
    int descriptor = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    int on = 1;
    if (family != 1) setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return descriptor;
}

static int fail(int descriptor) {
    int code = errno;
    close(descriptor);
    return -code;
}

int clinux_listen(int family, const uint8_t *address, int length, uint16_t port, int backlog, int reuse_port) {
    struct sockaddr_storage storage;
    socklen_t size = fill(&storage, family, address, length, port);
    if (size == 0) return -ENAMETOOLONG;
    int descriptor = stream_socket(family);
    if (descriptor < 0) return descriptor;
    int on = 1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (reuse_port && setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0) return fail(descriptor);
    if (bind(descriptor, (struct sockaddr *)&storage, size) < 0) return fail(descriptor);
    // Before it listens, so that nothing connects under other permissions.
    if (family == 1 && chmod(((struct sockaddr_un *)&storage)->sun_path, 0660) < 0) return fail(descriptor);
    if (listen(descriptor, backlog) < 0) return fail(descriptor);
    return descriptor;
}

int clinux_connect(int family, const uint8_t *address, int length, uint16_t port) {
    struct sockaddr_storage storage;
    socklen_t size = fill(&storage, family, address, length, port);
    if (size == 0) return -ENAMETOOLONG;
    int descriptor = stream_socket(family);
    if (descriptor < 0) return descriptor;
    if (connect(descriptor, (struct sockaddr *)&storage, size) < 0 && errno != EINPROGRESS) return fail(descriptor);
    return descriptor;
}

int clinux_connect_result(int descriptor) {
    int code = 0;
    socklen_t size = sizeof code;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) < 0) return -errno;
    return -code;
}

int clinux_peer_process(int descriptor) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return -errno;
    return peer.pid;
}

int clinux_accept(int listener, int *family, uint8_t *address, uint16_t *port) {
    struct sockaddr_storage storage;
    socklen_t size = sizeof storage;
    int descriptor = accept4(listener, (struct sockaddr *)&storage, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) return -errno;
    *port = 0;
    memset(address, 0, 16);
    if (storage.ss_family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&storage;
        *family = 4;
        *port = ntohs(in->sin_port);
        memcpy(address, &in->sin_addr, 4);
    } else if (storage.ss_family == AF_INET6) {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)&storage;
        *family = 6;
        *port = ntohs(in->sin6_port);
        memcpy(address, &in->sin6_addr, 16);
    } else {
        *family = 1;
    }
    if (*family != 1) {
        int on = 1;
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    return descriptor;
}

int clinux_local_port(int descriptor) {
    struct sockaddr_storage storage;
    socklen_t size = sizeof storage;
    if (getsockname(descriptor, (struct sockaddr *)&storage, &size) < 0) return -errno;
    if (storage.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&storage)->sin_port);
    if (storage.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&storage)->sin6_port);
    return 0;
}

int clinux_pin_to_core(int core) {
    cpu_set_t available, chosen;
    if (sched_getaffinity(0, sizeof available, &available) < 0) return -errno;
    int wanted = core % CPU_COUNT(&available);
    CPU_ZERO(&chosen);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &available)) continue;
        if (wanted-- == 0) CPU_SET(i, &chosen);
    }
    return -pthread_setaffinity_np(pthread_self(), sizeof chosen, &chosen);
}

int clinux_core_count(void) {
    cpu_set_t available;
    if (sched_getaffinity(0, sizeof available, &available) < 0) return 1;
    return CPU_COUNT(&available);
}

void clinux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

static int64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clinux_monotonic_nanoseconds(void) { return nanoseconds(CLOCK_MONOTONIC); }
int64_t clinux_realtime_nanoseconds(void) { return nanoseconds(CLOCK_REALTIME); }

int clinux_resolve(const char *name, uint8_t *records, int capacity) {
    struct addrinfo hints, *list = NULL;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    int code = getaddrinfo(name, NULL, &hints, &list);
    if (code != 0) return code < 0 ? code : -code;
    int count = 0;
    for (struct addrinfo *entry = list; entry && count < capacity; entry = entry->ai_next) {
        uint8_t *record = records + 17 * count;
        memset(record, 0, 17);
        if (entry->ai_family == AF_INET) {
            record[0] = 4;
            memcpy(record + 1, &((struct sockaddr_in *)entry->ai_addr)->sin_addr, 4);
        } else if (entry->ai_family == AF_INET6) {
            record[0] = 6;
            memcpy(record + 1, &((struct sockaddr_in6 *)entry->ai_addr)->sin6_addr, 16);
        } else {
            continue;
        }
        count++;
    }
    freeaddrinfo(list);
    return count;
}

const char *clinux_resolve_failure(int code) { return gai_strerror(code); }

int clinux_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    return limit.rlim_cur > 0x7fffffff ? 0x7fffffff : (int)limit.rlim_cur;
}

void clinux_trim_memory(void) { (void)malloc_trim(0); }

void clinux_line_buffer_stdout(void) { (void)setvbuf(stdout, NULL, _IOLBF, 0); }

void clinux_use_one_arena(void) { (void)mallopt(M_ARENA_MAX, 1); }

void clinux_start_writing(int descriptor, int64_t offset, int64_t count) {
    (void)sync_file_range(descriptor, offset, count, SYNC_FILE_RANGE_WRITE);
}

void clinux_drop_written(int descriptor, int64_t offset, int64_t count) {
    (void)posix_fadvise(descriptor, offset, count, POSIX_FADV_DONTNEED);
}
