/* One HTTP request over a Unix socket and nothing else: what a client in C cannot do without.
 * one_request SOCKET < request: sends what is on standard input, prints what comes back until it ends. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
    static char buffer[65536];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    ssize_t size;
    int connection;

    if (argc != 2)
        return 2;
    strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
    connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof address))
        return 3;
    size = read(0, buffer, sizeof buffer);
    if (size <= 0 || write(connection, buffer, size) != size)
        return 4;
    while ((size = read(connection, buffer, sizeof buffer)) > 0)
        if (write(1, buffer, size) != size)
            return 5;
    return size < 0;
}
