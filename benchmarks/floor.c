// The floor: what the kernel asks for handing the same bytes to N sockets. A bare loop of send(), nothing else.
// A client that sends 'S' is a subscriber and is answered 'OK'. What a subscriber sends afterwards is sent to all others
// as it is, what anybody else sends is sent to all subscribers; then that sender is answered '.'.  Usage: floor PORT
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int subscribers[200000], count;
static char subscribed[200000];

static void drop(int fd) {
    for (int i = 0; i < count; i++)
        if (subscribers[i] == fd) { subscribers[i] = subscribers[--count]; break; }
    subscribed[fd] = 0;
    close(fd);
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[argc - 1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) { perror("listen"); return 1; }
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[512];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    puts("READY");
    fflush(stdout);
    static char data[65536];
    for (;;) {
        int n = epoll_wait(poll, ready, 512, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                int client;
                while ((client = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    event.events = EPOLLIN;
                    event.data.fd = client;
                    epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
                }
                continue;
            }
            ssize_t size = read(fd, data, sizeof data);
            if (size <= 0) { drop(fd); continue; }
            if (data[0] == 'S') {
                subscribed[fd] = 1;
                subscribers[count++] = fd;
                send(fd, "OK", 2, MSG_NOSIGNAL);
                continue;
            }
            for (int j = 0; j < count; j++) {
                if (subscribers[j] == fd) continue;
                if (send(subscribers[j], data, size, MSG_NOSIGNAL) != size) fputs("short send\n", stderr);
            }
            if (!subscribed[fd]) send(fd, ".", 1, MSG_NOSIGNAL);
        }
    }
}
