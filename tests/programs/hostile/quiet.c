/* Fills its memory up to what it may have, then does nothing for as long as it is let. */
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    for (size_t bytes = 1 << 20; bytes >= 4096;) {
        volatile char *more = malloc(bytes);
        if (more) for (size_t at = 0; at < bytes; at += 1024) more[at] = 1;
        else bytes /= 2;
    }
    for (;;) sleep(3600);
}
