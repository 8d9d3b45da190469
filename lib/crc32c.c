#include "lib/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { SLICES = 8, POLYNOMIAL_REFLECTED = 0x82f63b78 };

typedef uint32_t crc32c_func(uint32_t crc, const void *octets, size_t length);

static uint32_t tables[SLICES][256];
static crc32c_func *fastest = crc32c_by_table;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

/* tables[n][octet]: what octet does to the sum when n zero octets follow. */
static void
tables_fill(void)
{
    for (uint32_t octet = 0; octet < 256; octet++) {
        uint32_t crc = octet;

        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? (uint32_t)POLYNOMIAL_REFLECTED : 0);
        tables[0][octet] = crc;
    }
    for (int slice = 1; slice < SLICES; slice++)
        for (uint32_t octet = 0; octet < 256; octet++) {
            uint32_t crc = tables[slice - 1][octet];

            tables[slice][octet] = (crc >> 8) ^ tables[0][crc & 0xff];
        }
}

#if defined(__x86_64__)

/*
 * The instruction takes three cycles and can begin anew in each: so three
 * lanes beside one another are summed in the time of one.  What a lane's sum
 * becomes when the octets of the next one follow is what zeroes would make of
 * it: lane_shift has that, an octet of the sum at a time.
 */
enum { LANE_OCTETS = 256, LANES = 3 };

static uint32_t lane_shift[4][256];

static void
lane_shift_fill(void)
{
    for (unsigned slice = 0; slice < 4; slice++)
        for (uint32_t octet = 0; octet < 256; octet++) {
            uint32_t crc = octet << 8 * slice;

            for (int zero = 0; zero < LANE_OCTETS; zero++)
                crc = (crc >> 8) ^ tables[0][crc & 0xff];
            lane_shift[slice][octet] = crc;
        }
}

static uint32_t
lane_shifted(uint64_t sum)
{
    return lane_shift[0][sum & 0xff] ^ lane_shift[1][sum >> 8 & 0xff]
           ^ lane_shift[2][sum >> 16 & 0xff] ^ lane_shift[3][sum >> 24 & 0xff];
}

__attribute__((target("sse4.2"))) static uint64_t
lanes_sum(uint64_t first, const unsigned char *at)
{
    uint64_t second = 0, third = 0;
    uint64_t word[LANES];

    for (size_t i = 0; i < LANE_OCTETS; i += sizeof(word[0])) {
        memcpy(&word[0], at + i, sizeof(word[0]));
        memcpy(&word[1], at + LANE_OCTETS + i, sizeof(word[0]));
        memcpy(&word[2], at + 2 * LANE_OCTETS + i, sizeof(word[0]));
        first = __builtin_ia32_crc32di(first, word[0]);
        second = __builtin_ia32_crc32di(second, word[1]);
        third = __builtin_ia32_crc32di(third, word[2]);
    }
    return lane_shifted(lane_shifted(first) ^ second) ^ third;
}

__attribute__((target("sse4.2"))) static uint32_t
crc32c_by_instruction(uint32_t crc, const void *octets, size_t length)
{
    const unsigned char *at = octets;
    uint64_t sum = ~crc;
    uint64_t word;

    for (; length >= (size_t)LANES * LANE_OCTETS;
         length -= (size_t)LANES * LANE_OCTETS) {
        sum = lanes_sum(sum, at);
        at += (size_t)LANES * LANE_OCTETS;
    }
    for (; length >= sizeof(word); length -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        sum = __builtin_ia32_crc32di(sum, word);
        at += sizeof(word);
    }
    for (; length > 0; length--)
        sum = __builtin_ia32_crc32qi((uint32_t)sum, *at++);
    return ~(uint32_t)sum;
}

static crc32c_func *
fastest_here(void)
{
    if (!__builtin_cpu_supports("sse4.2"))
        return crc32c_by_table;
    lane_shift_fill();
    return crc32c_by_instruction;
}

#else

static crc32c_func *
fastest_here(void)
{
    return crc32c_by_table;
}

#endif

static void
prepare(void)
{
    tables_fill();
    fastest = fastest_here();
}

uint32_t
crc32c_by_table(uint32_t crc, const void *octets, size_t length)
{
    const unsigned char *at = octets;

    pthread_once(&prepared, prepare);
    crc = ~crc;
    for (; length >= SLICES; length -= SLICES) {
        uint32_t low = crc
                       ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8
                          | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);

        crc = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff]
              ^ tables[5][low >> 16 & 0xff] ^ tables[4][low >> 24]
              ^ tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]]
              ^ tables[0][at[7]];
        at += SLICES;
    }
    for (; length > 0; length--)
        crc = (crc >> 8) ^ tables[0][(crc ^ *at++) & 0xff];
    return ~crc;
}

uint32_t
crc32c(uint32_t crc, const void *octets, size_t length)
{
    pthread_once(&prepared, prepare);
    return fastest(crc, octets, length);
}
