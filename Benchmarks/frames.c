// Predictions over gRPC as frames made beforehand, for loads in which each question is another one and that must be
// faster than the gateway: h2load repeats one. A stream that ended is followed by the next at once, as h2load does it.
//
//     frames PORT CONNECTIONS STREAMS < length, header block, then length, message for each question
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };
enum { CONNECTIONS_MAXIMUM = 256, RECEIVE_ROOM = 1 << 18 };

struct connection {
    unsigned char *rest;
    size_t count;
    unsigned stream;
};

struct piece { const unsigned char *bytes; unsigned count; };

static struct pollfd polled[CONNECTIONS_MAXIMUM];
static struct connection connections[CONNECTIONS_MAXIMUM];
static struct piece head, *messages;
static size_t messageCount, nextMessage;
static unsigned char *out;
static size_t outCount, outRoom;

static void fail(const char *what) {
    fprintf(stderr, "frames: %s\n", what);
    exit(1);
}

static void append(const void *bytes, size_t count) {
    if (outCount + count > outRoom) {
        outRoom = 2 * (outCount + count);
        if (!(out = realloc(out, outRoom))) fail("no memory");
    }
    memcpy(out + outCount, bytes, count);
    outCount += count;
}

// RFC 9113, 4.1.
static void frame(unsigned kind, unsigned flags, unsigned stream, const void *payload, unsigned count) {
    unsigned char start[9] = {(unsigned char)(count >> 16), (unsigned char)(count >> 8), (unsigned char)count,
                              (unsigned char)kind, (unsigned char)flags};
    stream = htonl(stream);
    memcpy(start + 5, &stream, 4);
    append(start, sizeof start);
    if (count) append(payload, count);
}

static void ask(struct connection *connection, size_t count) {
    for (; count && nextMessage < messageCount; count--, nextMessage++, connection->stream += 2) {
        frame(HEADERS, END_HEADERS, connection->stream, head.bytes, head.count);
        frame(DATA, END_STREAM, connection->stream, messages[nextMessage].bytes, messages[nextMessage].count);
    }
}

static void sendAll(int fd) {
    for (size_t done = 0; done < outCount;) {
        ssize_t put = send(fd, out + done, outCount - done, MSG_NOSIGNAL);
        if (put <= 0) fail("the gateway closed the connection");
        done += (size_t)put;
    }
    outCount = 0;
}

// Reads what is there; returns how many answers ended.
static size_t receive(int fd, struct connection *connection) {
    ssize_t got = recv(fd, connection->rest + connection->count, RECEIVE_ROOM - connection->count, 0);
    if (got <= 0) fail("the gateway closed the connection");
    connection->count += (size_t)got;
    size_t at = 0, ended = 0;
    while (connection->count - at >= 9) {
        const unsigned char *start = connection->rest + at;
        size_t count = 9 + ((size_t)start[0] << 16 | (size_t)start[1] << 8 | start[2]);
        if (connection->count - at < count) break;
        unsigned kind = start[3], flags = start[4];
        if (kind == RST_STREAM || kind == GOAWAY) fail("the gateway reset a stream");
        if (kind == SETTINGS && !(flags & ACK)) frame(SETTINGS, ACK, 0, NULL, 0);
        if ((kind == DATA || kind == HEADERS) && flags & END_STREAM) ended++;
        at += count;
    }
    connection->count -= at;
    memmove(connection->rest, connection->rest + at, connection->count);
    return ended;
}

static void readQuestions(void) {
    size_t room = 1 << 20, count = 0, got;
    unsigned char *all = malloc(room);
    while (all && (got = fread(all + count, 1, room - count, stdin)))
        if ((count += got) == room) all = realloc(all, room *= 2);
    size_t places = 0;
    for (size_t at = 0; all && at + 4 <= count;) {
        unsigned length;
        memcpy(&length, all + at, 4);
        struct piece piece = {all + at + 4, ntohl(length)};
        at += 4 + piece.count;
        if (at > count) fail("a question is cut short");
        if (!head.bytes) { head = piece; continue; }
        if (messageCount == places) messages = realloc(messages, (places = 2 * places + 1024) * sizeof *messages);
        if (!messages) fail("no memory");
        messages[messageCount++] = piece;
    }
}

int main(int argc, char **argv) {
    if (argc != 4) return fprintf(stderr, "frames PORT CONNECTIONS STREAMS < questions\n"), 64;
    int connectionCount = atoi(argv[2]), streamCount = atoi(argv[3]), one = 1;
    if (connectionCount < 1 || connectionCount > CONNECTIONS_MAXIMUM || streamCount < 1) fail("how many connections?");
    readQuestions();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((unsigned short)atoi(argv[1]))};
    for (int i = 0; i < connectionCount; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address)) return perror("frames: connect"), 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        polled[i] = (struct pollfd){.fd = fd, .events = POLLIN};
        connections[i] = (struct connection){.rest = malloc(RECEIVE_ROOM), .stream = 1};
        if (!connections[i].rest) fail("no memory");
        append("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
        frame(SETTINGS, 0, 0, NULL, 0);
        unsigned window = htonl(1 << 30);
        frame(WINDOW_UPDATE, 0, 0, &window, sizeof window);
        ask(&connections[i], (size_t)streamCount);
        sendAll(fd);
    }
    for (size_t left = messageCount; left;) {
        if (poll(polled, (nfds_t)connectionCount, 10000) <= 0) fail("no answer for 10 s");
        for (int i = 0; i < connectionCount; i++) {
            if (!polled[i].revents) continue;
            size_t ended = receive(polled[i].fd, &connections[i]);
            left -= ended;
            ask(&connections[i], ended);
            sendAll(polled[i].fd);
        }
    }
    return 0;
}
