/* Makes a file of a tebibyte under /out without writing a byte into it: `size` by setting its size, `allocate` by reserving
   its space, `seek` by writing one byte at its end. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "size";
    int file = open("/out/sparse", O_CREAT | O_RDWR, 0644);
    if (file < 0) return 1;
    if (strcmp(how, "size") == 0) return ftruncate(file, 1LL << 40) == 0 ? 0 : 2;
    if (strcmp(how, "allocate") == 0) return posix_fallocate(file, 0, 1LL << 40) == 0 ? 0 : 2;
    return pwrite(file, "x", 1, 1LL << 40) == 1 ? 0 : 2;
}
