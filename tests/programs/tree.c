/* Grows a tree: `tree DEPTH` prints its parent's depth, leaves its own depth as output, and spawns two more tasks one level below,
   which get that output. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    int depth = atoi(argv[argc - 1]);
    FILE *parent = fopen("/in/parent", "r");
    int above = 0;
    if (parent) {
        if (fscanf(parent, "%d", &above) != 1) return 3;
        fclose(parent);
    }
    printf("%d below %d\n", depth, above);
    FILE *own = fopen("/out/depth", "w");
    if (!own) return 4;
    fprintf(own, "%d\n", depth);
    if (fclose(own) != 0) return 5;
    if (depth == 0) return 0;
    FILE *asks = fopen("/out/spawn.jsonl", "w");
    if (!asks) return 6;
    for (int i = 0; i < 2; i++)
        fprintf(asks, "{\"arguments\": [\"%d\"], \"inputs\": {\"parent\": \"depth\"}}\n", depth - 1);
    return fclose(asks) == 0 ? 0 : 7;
}
