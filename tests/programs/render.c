/* Renders one tile of a picture by tracing rays: a mesh of glossy nodes and metal rods around a golden core, over a
   chequered floor in evening light, with reflections, soft shadows and antialiasing.

   Reads /in/tile, words in any layout:

       image WIDTH HEIGHT    size of the whole picture, in pixels           (must be there)
       tile X Y WIDTH HEIGHT the part to render                             (must be there)
       samples COUNT         rays for each pixel, more is smoother          (16)
       scene NUMBER          another arrangement and other colours          (1)
       turn DEGREES          the angle by which the mesh is turned          (0)

   Writes /out/tile.rgb: WIDTH * HEIGHT pixels of the tile, row by row, three bytes each. Tiles of one picture fit
   together without seams, because each pixel depends only on its place in the picture. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Vectors ---- */

typedef struct {
    double x, y, z;
} Vec;

static Vec vec(double x, double y, double z) { return (Vec){x, y, z}; }
static Vec add(Vec a, Vec b) { return vec(a.x + b.x, a.y + b.y, a.z + b.z); }
static Vec sub(Vec a, Vec b) { return vec(a.x - b.x, a.y - b.y, a.z - b.z); }
static Vec mul(Vec a, Vec b) { return vec(a.x * b.x, a.y * b.y, a.z * b.z); }
static Vec scale(Vec a, double by) { return vec(a.x * by, a.y * by, a.z * by); }
static double dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static Vec cross(Vec a, Vec b) { return vec(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x); }
static Vec unit(Vec a) { return scale(a, 1 / sqrt(dot(a, a))); }
static Vec mix(Vec a, Vec b, double share) { return add(scale(a, 1 - share), scale(b, share)); }
static double clamp(double value, double low, double high) { return value < low ? low : value > high ? high : value; }

/* ---- Randomness that depends only on where it is used ---- */

static uint64_t scramble(uint64_t value) {
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

/* The next number from 0 to 1. */
static double chance(uint64_t *state) {
    *state = scramble(*state);
    return (double)(*state >> 11) / 9007199254740992.0;
}

/* ---- The scene ---- */

typedef struct {
    Vec colour;
    double mirror; /* how much it reflects when looked at straight */
    double metal;  /* how much its reflection has its own colour */
} Material;

typedef struct {
    Vec centre;
    double radius;
    Material material;
} Ball;

typedef struct {
    Vec from, along; /* one end, and the way to the other */
    double radius;
} Rod;

enum { NODES = 12, RODS = 30, AROUND = 22, BALLS = NODES + 1 + AROUND, BOUNCES = 4 };

static Ball balls[BALLS];
static Rod rods[RODS];
static const Material STEEL = {{0.72, 0.74, 0.78}, 0.55, 1};

static const Vec MESH_CENTRE = {0, 2.75, 0};
static const double MESH_RADIUS = 2.05, MESH_BOUND = 2.45;
static const Vec LIGHT = {-7, 9.5, -6.5};
static const double LIGHT_RADIUS = 1.3;
static const Vec LIGHT_COLOUR = {1.50, 1.20, 0.86};

/* A colour by its place on a wheel: soft, never grey. */
static Vec palette(double where) {
    const double turn = 6.283185307179586;
    return vec(0.52 + 0.42 * cos(turn * (where + 0.02)), 0.44 + 0.36 * cos(turn * (where + 0.36)),
               0.50 + 0.42 * cos(turn * (where + 0.64)));
}

static Vec turned(Vec a, double about_y, double about_x) {
    Vec b = vec(a.x * cos(about_y) + a.z * sin(about_y), a.y, a.z * cos(about_y) - a.x * sin(about_y));
    return vec(b.x, b.y * cos(about_x) - b.z * sin(about_x), b.y * sin(about_x) + b.z * cos(about_x));
}

/* The corners of an icosahedron are the mesh's nodes, its edges the rods. */
static void build_mesh(double hue, double turn) {
    const double golden = 1.618033988749895, size = MESH_RADIUS / sqrt(1 + golden * golden);
    for (int i = 0; i < NODES; i++) {
        double one = (i & 1 ? 1 : -1) * size, other = (i & 2 ? golden : -golden) * size;
        Vec corner = i < 4 ? vec(0, one, other) : i < 8 ? vec(one, other, 0) : vec(other, 0, one);
        Material enamel = {palette(hue + 0.060 * i), 0.06, 0};
        balls[i] = (Ball){add(MESH_CENTRE, turned(corner, turn, 0.35)), 0.31, enamel};
    }
    int count = 0;
    for (int i = 0; i < NODES; i++)
        for (int j = i + 1; j < NODES && count < RODS; j++) {
            Vec along = sub(balls[j].centre, balls[i].centre);
            if (dot(along, along) < 4.5 * size * size) rods[count++] = (Rod){balls[i].centre, along, 0.065};
        }
    balls[NODES] = (Ball){MESH_CENTRE, 1.02, {{1.0, 0.72, 0.30}, 0.72, 1}};
}

/* Balls of all sizes lie around it, as seeds do in a sunflower. */
static void build_around(double hue, uint64_t random) {
    for (int i = 0; i < AROUND; i++) {
        double angle = 2.399963229728653 * (i + 3) + 0.5 * chance(&random), away = 2.55 + 0.36 * i;
        double radius = 0.24 + 0.34 * chance(&random) * chance(&random) + 0.012 * i;
        Material material = {palette(hue + 0.5 * chance(&random)), 0.05, 0};
        if (i % 5 == 2) material = (Material){{0.88, 0.90, 0.94}, 0.8, 1};
        balls[NODES + 1 + i] = (Ball){vec(away * cos(angle), radius, away * sin(angle)), radius, material};
    }
}

static Vec sky(Vec way) {
    double up = clamp(way.y, 0, 1), towards = clamp(dot(way, unit(LIGHT)), 0, 1);
    Vec colour = mix(vec(0.95, 0.56, 0.34), vec(0.34, 0.36, 0.58), clamp(up * 3.4, 0, 1));
    colour = mix(colour, vec(0.045, 0.09, 0.26), clamp(up * 1.9 - 0.1, 0, 1));
    double glow = towards * towards * towards * towards;
    colour = add(colour, scale(vec(0.55, 0.36, 0.18), glow * 0.5));
    glow = pow(towards, 220);
    return add(colour, scale(vec(6, 4.8, 3.4), glow));
}

/* ---- Rays ---- */

typedef struct {
    double distance;
    Vec normal;
    Material material;
} Hit;

static const double NEAR = 1e-4, FAR = 1e9;

/* How far along the ray the ball is, or FAR. */
static double meet_ball(Vec from, Vec way, Vec centre, double radius) {
    Vec to = sub(from, centre);
    double half = dot(to, way), rest = dot(to, to) - radius * radius, root = half * half - rest;
    if (root < 0) return FAR;
    root = sqrt(root);
    if (-half - root > NEAR) return -half - root;
    return -half + root > NEAR ? -half + root : FAR;
}

/* How far along the ray the rod's side is, or FAR. Its ends are inside of nodes. */
static double meet_rod(Vec from, Vec way, const Rod *rod) {
    Vec to = sub(from, rod->from);
    double length = dot(rod->along, rod->along), lean = dot(rod->along, way), start = dot(rod->along, to);
    double a = length - lean * lean, b = length * dot(to, way) - start * lean;
    double c = length * dot(to, to) - start * start - rod->radius * rod->radius * length, root = b * b - a * c;
    if (root < 0) return FAR;
    double distance = (-b - sqrt(root)) / a, along = start + distance * lean;
    return along > 0 && along < length && distance > NEAR ? distance : FAR;
}

/* Whether the ray passes the ball that holds all nodes and rods. */
static int near_mesh(Vec from, Vec way) {
    Vec to = sub(from, MESH_CENTRE);
    double half = dot(to, way), rest = dot(to, to) - MESH_BOUND * MESH_BOUND;
    return rest < 0 || (half < 0 && half * half > rest);
}

static Material floor_at(Vec place) {
    int odd = ((int)floor(place.x / 1.1) + (int)floor(place.z / 1.1)) & 1;
    Material light = {{0.66, 0.62, 0.57}, 0.09, 0}, dark = {{0.035, 0.06, 0.095}, 0.15, 0};
    return odd ? dark : light;
}

static int trace(Vec from, Vec way, Hit *hit) {
    hit->distance = FAR;
    int ball = -1, rod = -1;
    int first = near_mesh(from, way) ? 0 : NODES + 1;
    for (int i = first; i < BALLS; i++) {
        double distance = meet_ball(from, way, balls[i].centre, balls[i].radius);
        if (distance < hit->distance) hit->distance = distance, ball = i;
    }
    for (int i = 0; first == 0 && i < RODS; i++) {
        double distance = meet_rod(from, way, &rods[i]);
        if (distance < hit->distance) hit->distance = distance, rod = i;
    }
    double floor_distance = way.y < -1e-6 ? -from.y / way.y : FAR;
    if (floor_distance > NEAR && floor_distance < hit->distance) {
        hit->distance = floor_distance;
        hit->normal = vec(0, 1, 0);
        hit->material = floor_at(add(from, scale(way, floor_distance)));
        return 1;
    }
    Vec place = add(from, scale(way, hit->distance));
    if (rod >= 0) {
        Vec to = sub(place, rods[rod].from), along = rods[rod].along;
        hit->normal = unit(sub(to, scale(along, dot(to, along) / dot(along, along))));
        hit->material = STEEL;
        return 1;
    }
    if (ball < 0) return 0;
    hit->normal = scale(sub(place, balls[ball].centre), 1 / balls[ball].radius);
    hit->material = balls[ball].material;
    return 1;
}

static int in_shadow(Vec from, Vec way, double until) {
    int first = near_mesh(from, way) ? 0 : NODES + 1;
    for (int i = first; i < BALLS; i++)
        if (meet_ball(from, way, balls[i].centre, balls[i].radius) < until) return 1;
    for (int i = 0; first == 0 && i < RODS; i++)
        if (meet_rod(from, way, &rods[i]) < until) return 1;
    return 0;
}

/* How open the sky is from here, between nearby balls and the floor. */
static double openness(Vec place, Vec normal) {
    double open = 1;
    for (int i = NODES; i < BALLS; i++) {
        Vec to = sub(balls[i].centre, place);
        double squared = dot(to, to), radius = balls[i].radius;
        if (squared > 36 * radius * radius || squared < radius * radius * 1.0001) continue;
        double facing = dot(normal, to) / sqrt(squared);
        if (facing > 0) open *= 1 - facing * radius * radius / squared;
    }
    return open * (0.75 + 0.25 * normal.y);
}

/* The light that comes from the hit's own surface, reflections aside. */
static Vec shade(Vec place, Vec way, const Hit *hit, uint64_t *random) {
    double height = 2 * chance(random) - 1, angle = 6.283185307179586 * chance(random);
    double ring = sqrt(1 - height * height);
    Vec spot = vec(ring * cos(angle), ring * sin(angle), height);
    Vec to_light = sub(add(LIGHT, scale(spot, LIGHT_RADIUS)), place);
    double distance = sqrt(dot(to_light, to_light));
    to_light = scale(to_light, 1 / distance);

    double own = 1 - hit->material.metal * 0.92, facing = dot(hit->normal, to_light);
    double open = openness(place, hit->normal);
    Vec ambient = mix(vec(0.26, 0.18, 0.14), vec(0.24, 0.29, 0.45), 0.5 + 0.5 * hit->normal.y);
    Vec light = scale(mul(hit->material.colour, ambient), open * own * 0.85);
    if (facing <= 0 || in_shadow(place, to_light, distance)) return light;
    light = add(light, scale(mul(hit->material.colour, LIGHT_COLOUR), facing * own));
    /* The lamp itself, seen in the gloss. The floor is too rough for it. */
    double gloss = clamp(dot(unit(sub(to_light, way)), hit->normal), 0, 1);
    return hit->normal.y < 0.9999 ? add(light, scale(LIGHT_COLOUR, 0.8 * pow(gloss, 180))) : light;
}

static Vec look(Vec from, Vec way, uint64_t *random) {
    Vec seen = {0, 0, 0}, weight = {1, 1, 1};
    for (int bounce = 0; bounce <= BOUNCES; bounce++) {
        Hit hit;
        if (!trace(from, way, &hit)) return add(seen, mul(weight, sky(way)));
        Vec place = add(from, scale(way, hit.distance));
        double haze = 1 - exp(-0.00042 * hit.distance * hit.distance);
        Vec horizon = sky(unit(vec(way.x, 0.02, way.z)));
        seen = add(seen, mul(weight, scale(horizon, haze)));
        weight = scale(weight, 1 - haze);

        double straight = clamp(-dot(way, hit.normal), 0, 1), graze = pow(1 - straight, 5);
        double mirror = hit.material.mirror + (1 - hit.material.mirror) * graze * 0.9;
        place = add(place, scale(hit.normal, 1e-3));
        seen = add(seen, scale(mul(weight, shade(place, way, &hit, random)), 1 - mirror * (1 - hit.material.metal)));
        Vec tint = mix(vec(1, 1, 1), hit.material.colour, hit.material.metal * (1 - graze));
        weight = scale(mul(weight, tint), mirror);
        if (weight.x + weight.y + weight.z < 0.02) break;
        way = sub(way, scale(hit.normal, 2 * dot(way, hit.normal)));
        from = place;
    }
    return seen;
}

/* ---- The picture ---- */

static unsigned char to_byte(double light) {
    /* A film's curve: bright light fades to white instead of being cut off. */
    light *= 0.92;
    light = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14);
    return (unsigned char)(255 * pow(clamp(light, 0, 1), 1 / 2.2) + 0.5);
}

static void render_pixel(long x, long y, long width, long height, long samples, uint64_t scene, unsigned char *out) {
    const Vec eye = {-2.6, 3.0, -9.6}, target = {0.1, 2.05, 0};
    Vec ahead = unit(sub(target, eye)), right = unit(cross(vec(0, 1, 0), ahead)), up = cross(ahead, right);
    uint64_t random = scramble(scene ^ scramble((uint64_t)y * 1000003u + (uint64_t)x));
    long rows = (long)sqrt((double)samples);
    Vec sum = {0, 0, 0};
    for (long i = 0; i < samples; i++) {
        /* The first squares of a grid, then anywhere. */
        double across = i < rows * rows ? ((double)(i % rows) + chance(&random)) / (double)rows : chance(&random);
        double down = i < rows * rows ? ((double)(i / rows) + chance(&random)) / (double)rows : chance(&random);
        double u = ((double)x + across - 0.5 * (double)width) / (double)height;
        double v = (0.5 * (double)height - (double)y - down) / (double)height;
        Vec way = unit(add(ahead, add(scale(right, u * 0.80), scale(up, v * 0.80))));
        Vec seen = look(eye, way, &random);
        /* One bright speck must not spoil a whole pixel. */
        sum = add(sum, vec(clamp(seen.x, 0, 4), clamp(seen.y, 0, 4), clamp(seen.z, 0, 4)));
    }
    sum = scale(sum, 1 / (double)samples);
    out[0] = to_byte(sum.x), out[1] = to_byte(sum.y), out[2] = to_byte(sum.z);
}

static const char SPACES[] = " \t\r\n";

static int wrong(const char *what) {
    fprintf(stderr, "/in/tile: %s\n", what);
    return 1;
}

/* Reads `count` numbers from the words that follow. */
static int numbers(long **to, int count) {
    for (int i = 0; i < count; i++) {
        char *word = strtok(NULL, SPACES), *end;
        if (!word) return 0;
        *to[i] = strtol(word, &end, 10);
        if (*end) return 0;
    }
    return 1;
}

int main(void) {
    long width = 0, height = 0, x = 0, y = 0, w = 0, h = 0, samples = 16, scene = 1, turn = 0;
    char text[1024];
    FILE *in = fopen("/in/tile", "r");
    if (!in) return wrong("cannot be read");
    size_t bytes = fread(text, 1, sizeof text - 1, in);
    fclose(in);
    text[bytes] = 0;
    for (char *word = strtok(text, SPACES); word; word = strtok(NULL, SPACES)) {
        int good = strcmp(word, "image") == 0     ? numbers((long *[]){&width, &height}, 2)
                   : strcmp(word, "tile") == 0    ? numbers((long *[]){&x, &y, &w, &h}, 4)
                   : strcmp(word, "samples") == 0 ? numbers((long *[]){&samples}, 1)
                   : strcmp(word, "scene") == 0   ? numbers((long *[]){&scene}, 1)
                   : strcmp(word, "turn") == 0    ? numbers((long *[]){&turn}, 1)
                                                  : 0;
        if (!good) return wrong("an unknown word, or a number is missing");
    }
    if (width < 1 || height < 1 || width > 65536 || height > 65536) return wrong("the image has no size, or too much");
    if (w < 1 || h < 1 || x < 0 || y < 0 || w > width - x || h > height - y) return wrong("the tile is not in the image");
    if (samples < 1 || samples > 65536) return wrong("samples must be from 1 to 65536");

    double hue = 0.83 + 0.137 * (double)scene;
    build_mesh(hue, 0.62 + (double)turn * 0.017453292519943295);
    build_around(hue, scramble((uint64_t)scene));

    FILE *out = fopen("/out/tile.rgb", "w");
    unsigned char *row = malloc((size_t)w * 3);
    if (!out || !row) return wrong("there is no room for the tile");
    for (long j = y; j < y + h; j++) {
        for (long i = x; i < x + w; i++)
            render_pixel(i, j, width, height, samples, (uint64_t)scene, row + (i - x) * 3);
        if (fwrite(row, 3, (size_t)w, out) != (size_t)w) return wrong("the tile cannot be written");
    }
    if (fclose(out) != 0) return wrong("the tile cannot be written");
    printf("%ldx%ld pixels at %ld, %ld\n", w, h, x, y);
    return 0;
}
