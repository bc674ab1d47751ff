/* Copies standard input to standard output. With arguments, prints them instead, one a line; `--env` prints the environment. */
#include <stdio.h>
#include <string.h>

extern char **environ;

int main(int argc, char **argv) {
    if (argc > 1) {
        for (int i = 1; i < argc; i++) {
            if (strcmp(argv[i], "--env") != 0) {
                puts(argv[i]);
                continue;
            }
            for (char **entry = environ; *entry; entry++) puts(*entry);
        }
        return 0;
    }
    char buffer[4096];
    size_t bytes;
    while ((bytes = fread(buffer, 1, sizeof buffer, stdin)) > 0) fwrite(buffer, 1, bytes, stdout);
    return 0;
}
