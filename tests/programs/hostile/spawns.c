/* Asks for more tasks than there may be; with the argument `nonsense` in no way that can be understood. */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    FILE *file = fopen("/out/spawn.jsonl", "w");
    if (!file) return 1;
    if (argc > 1 && strcmp(argv[1], "nonsense") == 0) {
        for (int i = 0; i < 1000; i++) fputc('[', file);
    } else {
        for (int i = 0; i < 5000; i++) fputs("{}\n", file);
    }
    return fclose(file) == 0 ? 0 : 2;
}
