/*
 * newsload -- run one row of the benchmark against one NNTP server on the
 * loopback, and print a line of JSON.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "tests/bench/load.h"

static void
usage(void)
{
    printf("usage: newsload --row ROW --port N [--host 127.0.0.1]\n"
           "    [--source 127.0.0.2 [--sources N]] [--tls] [--compress]\n"
           "    [--rate UNITS-A-SECOND] [--delayed-acks]\n"
           "    [--connections N] [--window N] [--count UNITS]\n"
           "    [--octets MEAN] [--group NAME] [--groups-file FILE]\n"
           "    [--range LINES] [--seed N] [--timeout SECONDS]\nrows:\n");
    rows_print();
}

static unsigned long
number(const char *name, const char *text, unsigned long least)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value < least)
        die(EXIT_USAGE, "--%s: found \"%s\", expected a number from %lu on",
            name, text, least);
    return value;
}

/* A load never leaves this machine. */
static void
check_loopback(const char *name, const char *text)
{
    struct in_addr address;

    if (inet_pton(AF_INET, text, &address) != 1
        || ntohl(address.s_addr) >> 24 != 127)
        die(EXIT_USAGE,
            "--%s: found \"%s\", expected an address of the "
            "loopback, 127.0.0.0/8",
            name, text);
}

int
main(int argc, char **argv)
{
    static const struct option names[] = {
        {"row", required_argument, NULL, 'r'},
        {"host", required_argument, NULL, 'h'},
        {"source", required_argument, NULL, 'S'},
        {"sources", required_argument, NULL, 'N'},
        {"tls", no_argument, NULL, 'T'},
        {"compress", no_argument, NULL, 'C'},
        {"delayed-acks", no_argument, NULL, 'D'},
        {"rate", required_argument, NULL, 'R'},
        {"port", required_argument, NULL, 'p'},
        {"connections", required_argument, NULL, 'c'},
        {"window", required_argument, NULL, 'w'},
        {"count", required_argument, NULL, 'n'},
        {"octets", required_argument, NULL, 'o'},
        {"group", required_argument, NULL, 'g'},
        {"groups-file", required_argument, NULL, 'f'},
        {"range", required_argument, NULL, 'a'},
        {"seed", required_argument, NULL, 's'},
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, '?'},
        {NULL, 0, NULL, 0},
    };
    struct load_options options = {
        .host = "127.0.0.1",
        .sources = 1,
        .connections = 1,
        .window = 1,
        .count = 1000,
        .octets = 3000,
        .range = 500,
        .seed = 1,
        .timeout_seconds = 120,
    };
    const struct row *row;
    int letter, index;

    log_open("newsload", false);
    while ((letter = getopt_long(argc, argv, "", names, &index)) != -1) {
        const char *name = letter != '?' ? names[index].name : "";

        switch (letter) {
        case 'r':
            options.row = optarg;
            break;
        case 'h':
            options.host = optarg;
            break;
        case 'S':
            options.source = optarg;
            break;
        case 'N':
            options.sources = (unsigned)number(name, optarg, 1);
            break;
        case 'T':
            options.tls = true;
            break;
        case 'C':
            options.compress = true;
            break;
        case 'D':
            options.delayed_acks = true;
            break;
        case 'R':
            options.rate = (double)number(name, optarg, 1);
            break;
        case 'p':
            options.port = (uint16_t)number(name, optarg, 1);
            break;
        case 'c':
            options.connections = (unsigned)number(name, optarg, 1);
            break;
        case 'w':
            options.window = (unsigned)number(name, optarg, 1);
            break;
        case 'n':
            options.count = number(name, optarg, 1);
            break;
        case 'o':
            options.octets = (unsigned)number(name, optarg, 1);
            break;
        case 'g':
            options.group = optarg;
            break;
        case 'f':
            options.groups_file = optarg;
            break;
        case 'a':
            options.range = (unsigned)number(name, optarg, 1);
            break;
        case 's':
            options.seed = (unsigned)number(name, optarg, 0);
            break;
        case 't':
            options.timeout_seconds = (unsigned)number(name, optarg, 1);
            break;
        default:
            usage();
            return EXIT_USAGE;
        }
    }
    row = options.row != NULL ? row_find(options.row) : NULL;
    if (row == NULL || options.port == 0) {
        usage();
        return EXIT_USAGE;
    }
    check_loopback("host", options.host);
    if (options.source != NULL)
        check_loopback("source", options.source);
    if (options.groups_file != NULL)
        articles_open(&options);
    return engine_run(row, &options);
}
