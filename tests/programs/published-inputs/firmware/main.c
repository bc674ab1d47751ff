#include <avr/io.h>
#include <stdint.h>
#include <util/delay_basic.h>
#include "table.h"

static uint16_t random_state = 0xACE1;

static uint8_t next(void) {
    random_state = (random_state >> 1) ^ (-(random_state & 1) & 0xB400);
    return random_state;
}

int main(void) {
    DDRB |= _BV(PB5);
    for (;;) {
        for (uint8_t place = 0; place < sizeof table; place++) {
            if (next() % 101 < table[place]) PORTB ^= _BV(PB5);
            _delay_loop_2(1000u * table[place]);
        }
    }
}
