// A Modbus TCP server on modbus-serial, for tests: listens on a free port and prints it.
//
// It holds what libmodbus_server.c holds, for unit 11; to any other it says nothing.
"use strict";

const { createServer } = require("net");
const { ServerTCP } = require("modbus-serial");

const held = { coils: {}, holding: {} };
for (let n = 10; n < 30; n++) held.coils[n] = n % 3 === 0;
for (let n = 100; n < 120; n++) held.holding[n] = 3 * n;

const ILLEGAL_ADDRESS = { modbusErrorCode: 2 };

function known(table, address) {
    if (table[address] === undefined) throw ILLEGAL_ADDRESS;
    return table[address];
}

const vector = {
    getCoil: (address) => known(held.coils, address),
    getDiscreteInput: (address) => {
        if (address < 10 || address > 29) throw ILLEGAL_ADDRESS;
        return address % 3 === 1;
    },
    getHoldingRegister: (address) => known(held.holding, address),
    getInputRegister: (address) => {
        if (address > 79) throw ILLEGAL_ADDRESS;
        return 1000 + address;
    },
    setCoil: (address, value) => {
        known(held.coils, address);
        held.coils[address] = value;
    },
    setRegister: (address, value) => {
        known(held.holding, address);
        held.holding[address] = value;
    },
};

function serve(unit, port) {
    return new ServerTCP(vector, { host: "127.0.0.1", port, unitID: unit });
}

// The library cannot say which free port it was given, so one is looked for first.
const finder = createServer();
finder.listen(0, "127.0.0.1", () => {
    const { port } = finder.address();
    finder.close(() => {
        const server = serve(11, port);
        server.on("initialized", () => console.log(`ready ${port}`));
        server.on("socketError", () => {});
        server.on("serverError", (error) => {
            console.error(String(error));
            process.exit(1);
        });
    });
});
