// A plain byte relay: what moving the bytes of a request and its answer costs, and nothing more.
// One connection to the backend for each client; read, write, epoll, one thread.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int other[65536];
static char buffer[256 * 1024];

static int make(void) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "relay LISTEN_PORT BACKEND_PORT\n"), 64;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = make(), poll = epoll_create1(0);
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) return perror("listen"), 1;
    address.sin_port = htons((unsigned short)atoi(argv[2]));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int from = events[i].data.fd;
            if (from == listener) {
                int client = accept(listener, NULL, NULL), backend = make(), one = 1;
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                if (connect(backend, (struct sockaddr *)&address, sizeof address)) return perror("connect"), 1;
                other[client] = backend, other[backend] = client;
                event.data.fd = client, epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
                event.data.fd = backend, epoll_ctl(poll, EPOLL_CTL_ADD, backend, &event);
                continue;
            }
            if (other[from] < 0) continue;
            ssize_t got = read(from, buffer, sizeof buffer), done = 0;
            while (done < got) {
                // Blocking, so that nothing need be kept; benchmarks read what they asked for.
                ssize_t put = send(other[from], buffer + done, (size_t)(got - done), MSG_NOSIGNAL);
                if (put <= 0) { got = 0; break; }
                done += put;
            }
            if (got <= 0) {
                int to = other[from];
                other[to] = -1, other[from] = -1;
                close(from), close(to);
            }
        }
    }
}
