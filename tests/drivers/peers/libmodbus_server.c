/* A Modbus server on libmodbus, for tests: one client at a time, as many gateways have it.
 *
 *     libmodbus_server tcp            listens on a free port of 127.0.0.1 and prints it
 *     libmodbus_server rtu DEVICE     serves unit 11 on a serial line
 *
 * Holding register n (100 to 119) holds 3 n, input register n (0 to 79) 1000 + n; coil n (10 to
 * 29) is on where n is a multiple of 3, discrete input n where n is one more than that. Over
 * TCP, units 11 and 12 are there; any other is a target that does not respond (exception 11).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static modbus_mapping_t *make_mapping(void)
{
    modbus_mapping_t *map = modbus_mapping_new_start_address(10, 20, 10, 20, 100, 20, 0, 80);
    if (map == NULL)
        return NULL;
    for (int at = 0; at < 20; at++) {
        map->tab_bits[at] = (10 + at) % 3 == 0;
        map->tab_input_bits[at] = (10 + at) % 3 == 1;
        map->tab_registers[at] = 3 * (100 + at);
    }
    for (int at = 0; at < 80; at++)
        map->tab_input_registers[at] = 1000 + at;
    return map;
}

static void serve(modbus_t *context, modbus_mapping_t *map, int over_tcp)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    for (;;) {
        int length = modbus_receive(context, query);
        if (length == -1 && over_tcp)
            return;
        if (length <= 0)
            continue; /* another unit's, or noise on the line */
        int unit = query[modbus_get_header_length(context) - 1];
        if (over_tcp && unit != 11 && unit != 12)
            modbus_reply_exception(context, query, MODBUS_EXCEPTION_GATEWAY_TARGET);
        else
            modbus_reply(context, query, length, map);
    }
}

int main(int count, char **words)
{
    modbus_mapping_t *map = make_mapping();
    if (map == NULL)
        return 1;
    if (count == 3 && strcmp(words[1], "rtu") == 0) {
        modbus_t *context = modbus_new_rtu(words[2], 19200, 'N', 8, 1);
        if (context == NULL || modbus_set_slave(context, 11) == -1)
            return 1;
        if (modbus_connect(context) == -1) {
            fprintf(stderr, "%s: %s\n", words[2], modbus_strerror(errno));
            return 1;
        }
        printf("ready 0\n");
        fflush(stdout);
        serve(context, map, 0);
        return 0;
    }
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    int listening = context == NULL ? -1 : modbus_tcp_listen(context, 4);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (listening == -1 || getsockname(listening, (struct sockaddr *)&address, &size) == -1)
        return 1;
    printf("ready %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        if (modbus_tcp_accept(context, &listening) == -1)
            return 1;
        serve(context, map, 1);
        modbus_close(context);
    }
}
