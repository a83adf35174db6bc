// Very many clients in one process, of some 50 bytes each: they connect, subscribe, check the numbers of the events
// that they get, answer pings, and come back at once when the server sends them away.
//
// Usage: clients PORT KEY BLOCK, with source addresses 127.0.BLOCK.1 to 127.0.BLOCK.200. Commands on standard input,
// each answered with a line of JSON:
//   connect N CHANNEL IN_FLIGHT   N more clients; answered when all are subscribed, with the seconds it took
//   await NUMBER MILLISECONDS     answered when all are subscribed and have the event of that number, 0 for none, or
//                                 when the time is up
//   leave N                       N clients go, the longest connected first
//   report                        what has happened since the last report
// An event's data holds "@NUMBER@TIME@": numbers go up by one, TIME is in nanoseconds of CLOCK_MONOTONIC.
// A delivery is lost in one of three ways: in a gap between two events of a client; before its first one, if it was
// subscribed before this one was published; or at the end, if an event that is awaited is not there in time.
// The first failures are described on standard error.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { GONE, LEFT, CONNECTING, UPGRADING, GREETING, SUBSCRIBING, HERE };
enum { ADDRESSES = 200, NUMBERS = 1 << 20, READ = 1 << 18, RETRY_MS = 100, FAILURES = 5 };

typedef struct {
    int fd;
    uint8_t state, has_been_here;
    uint16_t rest_size;
    uint32_t last;        // number of its last event; 0 for none since it subscribed
    uint64_t since;       // subscribed then, or sent away then
    unsigned char *rest;  // the beginning of a frame
} Client;

// Times in steps of 2 %, from 1 µs on.
enum { STEPS = 1200 };
typedef struct { uint64_t counts[STEPS], least, most, number; } Times;

static Client *clients;
static long total, started, here, in_flight, most_in_flight, retries;
static long *retrying;
static long events, gaps, missed_first, not_there, twice, sent_away, refused, ended;
static int told_of;  // failures that were described on standard error
static uint64_t published[NUMBERS], retry_at;
static Times latency, back;
static char channel[128];
static int poll_fd, port, block;
static const char *key;
static unsigned char input[READ];

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void note(Times *times, uint64_t nanoseconds) {
    double micro = nanoseconds / 1e3;
    int step = micro <= 1 ? 0 : (int)(log(micro) / log(1.02));
    times->counts[step < STEPS ? step : STEPS - 1]++;
    if (!times->number++ || nanoseconds < times->least) times->least = nanoseconds;
    if (nanoseconds > times->most) times->most = nanoseconds;
}

static void tell(const char *name, Times *times) {
    printf(", \"%s\": {\"number\": %lu, \"least\": %.6f, \"most\": %.6f, \"steps\": {", name, times->number,
           times->least / 1e9, times->most / 1e9);
    const char *comma = "";
    for (int i = 0; i < STEPS; i++)
        if (times->counts[i]) { printf("%s\"%d\": %lu", comma, i, times->counts[i]); comma = ", "; }
    printf("}}");
    memset(times, 0, sizeof *times);
}

static int watch(long id, int what, uint32_t kinds) {
    struct epoll_event event = {.events = kinds, .data.u64 = id};
    return epoll_ctl(poll_fd, what, clients[id].fd, &event);
}

static void retry(long id) {
    clients[id].state = GONE;
    if (!retries) retry_at = now() + RETRY_MS * 1000000ull;
    retrying[retries++] = id;
}

static void begin(long id) {
    Client *c = &clients[id];
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) { perror("socket"); exit(1); }
    // The port is chosen at connect(), among those that are free towards the server's address.
    setsockopt(c->fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in own = {.sin_family = AF_INET}, server = {.sin_family = AF_INET, .sin_port = htons(port)};
    own.sin_addr.s_addr = htonl(0x7f000001 + (block << 8) + id % ADDRESSES);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(c->fd, (void *)&own, sizeof own)) { perror("bind"); exit(1); }
    c->state = CONNECTING;
    if (connect(c->fd, (void *)&server, sizeof server) && errno != EINPROGRESS) {
        close(c->fd);
        refused++;
        retry(id);
        return;
    }
    watch(id, EPOLL_CTL_ADD, EPOLLOUT);
}

static void send_text(Client *c, const char *text) {
    size_t size = strlen(text), head = 0;
    unsigned char frame[512];
    frame[head++] = 0x81;
    if (size < 126) frame[head++] = 0x80 | size;
    else { frame[head++] = 0x80 | 126; frame[head++] = size >> 8; frame[head++] = size & 255; }
    memset(frame + head, 0, 4);  // a mask of zeros
    head += 4;
    memcpy(frame + head, text, size);
    if (write(c->fd, frame, head + size) < 0 && errno != EPIPE && errno != ECONNRESET) perror("write");
}

static void drop(Client *c) {
    close(c->fd);
    free(c->rest);
    c->rest = NULL;
    c->rest_size = 0;
    c->last = 0;
}

// Describe the first failures.
static void describe(long id, const char *what, const unsigned char *data, size_t size) {
    if (told_of++ < FAILURES)
        fprintf(stderr, "client %ld, state %d: %s %.*s\n", id, clients[id].state, what, (int)size, (const char *)data);
}

static void away(long id, int is_move) {
    Client *c = &clients[id];
    int was_here = c->state == HERE;
    drop(c);
    if (was_here) { here--; c->since = now(); }
    if (is_move) sent_away++; else if (was_here) ended++; else refused++;
    if (is_move) begin(id); else retry(id);
}

static void hear(Client *c, const char *text, uint64_t time) {
    char *end;
    uint32_t number = strtoul(text, &end, 10);
    uint64_t sent = strtoull(end + 1, NULL, 10);
    if (!number || number >= NUMBERS) return;
    events++;
    published[number] = sent;
    if (number <= c->last) { twice++; return; }
    if (c->last) gaps += number - c->last - 1;
    else for (uint32_t each = number - 1; each && published[each] > c->since; each--) missed_first++;
    c->last = number;
    note(&latency, time > sent ? time - sent : 0);
}

// Whether the client goes on.
static int message(long id, int opcode, unsigned char *data, size_t size, uint64_t time) {
    Client *c = &clients[id];
    if (opcode == 8 && (size < 2 || (data[0] << 8 | data[1]) != 4200)) describe(id, "closed:", data + 2, size - 2);
    if (opcode == 8) { away(id, size >= 2 && (data[0] << 8 | data[1]) == 4200); return 0; }
    if (opcode == 9) { unsigned char pong[6] = {0x8a, 0x80}; if (write(c->fd, pong, 6) < 0) perror("pong"); return 1; }
    if (c->state == GREETING && memmem(data, size, "connection_established", 22)) {
        char text[256];
        snprintf(text, sizeof text, "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"%s\"}}", channel);
        send_text(c, text);
        c->state = SUBSCRIBING;
    } else if (c->state == SUBSCRIBING && memmem(data, size, "subscription_succeeded", 22)) {
        uint64_t before = c->since;
        c->state = HERE;
        c->since = time;
        here++;
        if (!c->has_been_here) { c->has_been_here = 1; in_flight--; }
        if (before) note(&back, time - before);
    } else if (memmem(data, size, "\"pusher:ping\"", 13)) {
        send_text(c, "{\"event\":\"pusher:pong\",\"data\":{}}");
    } else {
        unsigned char *at = memchr(data, '@', size);
        if (at) hear(c, (char *)at + 1, time);
    }
    return 1;
}

static void readable(long id) {
    Client *c = &clients[id];
    memcpy(input, c->rest, c->rest_size);
    ssize_t got = read(c->fd, input + c->rest_size, READ - 1 - c->rest_size);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        describe(id, got ? strerror(errno) : "closed without a close frame", input, 0);
        away(id, 0);
        return;
    }
    uint64_t time = now();
    unsigned char *at = input, *end = input + c->rest_size + got;
    *end = 0;
    if (c->state == UPGRADING) {
        unsigned char *body = memmem(at, end - at, "\r\n\r\n", 4);
        if (body) {
            if (memcmp(at, "HTTP/1.1 101", 12)) { describe(id, "answered", at, 60); away(id, 0); return; }
            at = body + 4;
            c->state = GREETING;
        }
    }
    while (c->state > UPGRADING && end - at >= 2) {
        size_t size = at[1] & 127, head = 2;
        if (size == 126) { if (end - at < 4) break; size = at[2] << 8 | at[3]; head = 4; }
        else if (size == 127) { fputs("a frame of more than 64 kB\n", stderr); exit(1); }
        if ((size_t)(end - at) < head + size) break;
        if (!message(id, at[0] & 15, at + head, size, time)) return;
        at += head + size;
    }
    free(c->rest);
    c->rest = NULL;
    c->rest_size = end - at;
    if (c->rest_size) { c->rest = malloc(c->rest_size); memcpy(c->rest, at, c->rest_size); }
}

static void ready(long id, uint32_t kinds) {
    Client *c = &clients[id];
    if (c->state <= LEFT) return;
    if (c->state != CONNECTING) { readable(id); return; }
    if (kinds & (EPOLLERR | EPOLLHUP)) { describe(id, "not connected", input, 0); away(id, 0); return; }
    char request[512];
    int size = snprintf(request, sizeof request,
        "GET /app/%s?protocol=7&client=bench&version=1.0 HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", key);
    if (write(c->fd, request, size) != size) { away(id, 0); return; }
    c->state = UPGRADING;
    watch(id, EPOLL_CTL_MOD, EPOLLIN);
}

// How many lack an event that was published after they had subscribed.
static long without(uint32_t number) {
    long found = 0;
    for (long id = 0; id < total; id++) {
        Client *c = &clients[id];
        found += c->state == HERE && c->last < number && (!published[number] || c->since < published[number]);
    }
    return found;
}

int main(int argc, char **argv) {
    if (argc != 4) { fputs("usage: clients PORT KEY BLOCK\n", stderr); return 2; }
    port = atoi(argv[1]); key = argv[2]; block = atoi(argv[3]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    long room = files.rlim_max < 1000000 ? files.rlim_max : 1000000;
    clients = calloc(4 * room, sizeof *clients);
    retrying = calloc(4 * room, sizeof *retrying);
    poll_fd = epoll_create1(0);
    fcntl(0, F_SETFL, O_NONBLOCK);
    struct epoll_event lines = {.events = EPOLLIN, .data.u64 = UINT64_MAX}, found[512];
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, 0, &lines);
    char command[256];
    size_t size = 0;
    uint64_t began = 0, until = 0;
    uint32_t awaited = 0;
    int awaiting = 0;
    long left = 0, gone = 0;
    for (;;) {
        if (began) {
            while (left && in_flight < most_in_flight) { left--; in_flight++; begin(started++); }
            if (!left && here == total - gone) {
                printf("{\"here\": %ld, \"seconds\": %.6f}\n", here, (now() - began) / 1e9);
                fflush(stdout);
                began = 0;
            }
        }
        if (awaiting) {
            long missing = here < total - gone ? -1 : without(awaited);
            if (!missing || now() > until) {
                missing = without(awaited);
                not_there += missing;
                printf("{\"here\": %ld, \"without\": %ld}\n", here, missing);
                fflush(stdout);
                awaiting = 0;
            }
        }
        if (retries && now() >= retry_at) {
            long again = retries;
            retries = 0;
            for (long i = 0; i < again; i++) if (clients[retrying[i]].state == GONE) begin(retrying[i]);
        }
        int n = epoll_wait(poll_fd, found, 512, awaiting ? 20 : retries ? RETRY_MS : 1000);
        for (int i = 0; i < n; i++) {
            if (found[i].data.u64 != UINT64_MAX) { ready(found[i].data.u64, found[i].events); continue; }
            ssize_t got = read(0, command + size, sizeof command - 1 - size);
            if (!got) return 0;
            if (got < 0) continue;
            size += got;
            command[size] = 0;
            if (command[size - 1] != '\n') continue;
            size = 0;
            long count, milliseconds;
            if (sscanf(command, "connect %ld %127s %ld", &count, channel, &most_in_flight) == 3) {
                if (total - gone + count + 100 > room || total + count > 4 * room) { fputs("too many for the limit of open files\n", stderr); return 1; }
                total += count;
                left = count;
                began = now();
            } else if (sscanf(command, "await %ld %ld", &count, &milliseconds) == 2) {
                awaiting = 1;
                awaited = count;
                until = now() + milliseconds * 1000000ull;
            } else if (sscanf(command, "leave %ld", &count) == 1) {
                for (; count && gone < total; gone++, count--) {
                    Client *c = &clients[gone];
                    if (c->state == HERE) here--;
                    drop(c);
                    c->state = LEFT;
                }
                printf("{\"here\": %ld}\n", here);
                fflush(stdout);
            } else if (!strcmp(command, "report\n")) {
                printf("{\"here\": %ld, \"events\": %ld, \"gaps\": %ld, \"missed_first\": %ld, "
                       "\"not_there\": %ld, \"twice\": %ld, \"sent_away\": %ld, \"refused\": %ld, \"ended\": %ld",
                       here, events, gaps, missed_first, not_there, twice, sent_away, refused, ended);
                tell("latency", &latency);
                tell("back", &back);
                puts("}");
                fflush(stdout);
                events = gaps = missed_first = not_there = twice = sent_away = refused = ended = 0;
            } else { fprintf(stderr, "no such command: %s", command); return 2; }
        }
    }
}
