// The outer memory of a simulated engine: an AXI4 slave that costs no Python per cycle.
//
// It begins with what the file memory.bin holds, from address 0 up, reads that again when `restore` rises, and writes its
// first `size` bytes to dumped.bin when `dump` rises. Bursts are answered one after the other, in order; an address beyond
// the memory is answered with DECERR.
// Settings stand still while the simulation runs.

module engine_memory #(
    parameter DATA = 64,  // bits of a beat
    parameter BYTES = 1 << 26
) (
    input clk,
    input rst,

    input [31:0] size,
    input dump,
    input restore,
    input [31:0] delay,          // least cycles from AR to the first beat, and from the last beat on W to B
    input [7:0] stalls,          // of 256: how probable it is on each channel that nothing happens in a cycle
    input [31:0] seed,           // of the stalls
    input [31:0] read_fault,     // number of the beat on R, from 1, that comes with SLVERR; 0 for none
    input [31:0] write_fault,    // number of the burst on B, from 1, that is answered with SLVERR; 0 for none
    input [31:0] freeze,         // beats on R after which all channels stand still once
    input [31:0] freeze_cycles,  // for so long; 0 for not at all

    input [31:0] araddr,
    input [7:0] arlen,
    input arvalid,
    output arready,
    output reg [DATA-1:0] rdata,
    output reg [1:0] rresp,
    output reg rlast,
    output reg rvalid,
    input rready,

    input [31:0] awaddr,
    input [7:0] awlen,
    input awvalid,
    output awready,
    input [DATA-1:0] wdata,
    input [DATA/8-1:0] wstrb,
    input wlast,
    input wvalid,
    output wready,
    output reg [1:0] bresp,
    output reg bvalid,
    input bready
);
    localparam LANES = DATA / 8;
    localparam [1:0] OKAY = 0, SLVERR = 2, DECERR = 3;

    byte unsigned bytes[0:BYTES-1];
    integer file, index;
    task read_all();
        file = $fopen("memory.bin", "rb");
        if (file == 0) $fatal(1, "there is no memory.bin");
        index = $fread(bytes, file);
        $fclose(file);
    endtask
    initial read_all();
    always @(posedge restore) read_all();
    always @(posedge dump) begin
        file = $fopen("dumped.bin", "wb");
        for (index = 0; index < size; index = index + 1) $fwrite(file, "%c", bytes[index]);
        $fclose(file);
    end

    // Stalls, in periods of 16 cycles of changing density: they find more than independent draws do.
    reg [31:0] now, random;
    reg [8:0] density;
    wire [31:0] stirred = random ^ (random << 13);
    wire [31:0] stirred_more = stirred ^ (stirred >> 17);
    always @(posedge clk) begin
        now <= rst ? 0 : now + 1;
        random <= rst ? seed | 1 : stirred_more ^ (stirred_more << 5);
        if (now[3:0] == 0)
            case (random[17:16])
                0: density <= 0;
                1: density <= {stalls, 1'b0} > 240 ? 240 : {stalls, 1'b0};
                default: density <= {1'b0, stalls};
            endcase
    end

    // The freeze.
    reg [31:0] read_beats, thawing;
    wire still = read_beats >= freeze && thawing != 0;
    always @(posedge clk) thawing <= rst ? freeze_cycles : thawing - still;
    function go(input [7:0] drawn);
        go = !still && {1'b0, drawn} >= density;
    endfunction

    // Reading.
    localparam BURSTS = 32;
    reg [31:0] ar_address[0:BURSTS-1], ar_due[0:BURSTS-1];
    reg [7:0] ar_length[0:BURSTS-1];
    reg [4:0] ar_put, ar_get;
    reg [7:0] r_beat;
    wire [31:0] r_address = (ar_address[ar_get] & -LANES) + r_beat * LANES;
    wire r_there = ar_put != ar_get && now >= ar_due[ar_get] && go(random[12:5]);
    assign arready = ar_put + 5'd1 != ar_get && go(random[7:0]);
    always @(posedge clk) begin
        if (arvalid && arready) begin
            ar_address[ar_put] <= araddr;
            ar_length[ar_put] <= arlen;
            ar_due[ar_put] <= now + delay - 1;
            ar_put <= ar_put + 1;
        end
        if (!rvalid || rready) begin
            rvalid <= r_there;
            if (r_there) begin
                for (int lane = 0; lane < LANES; lane++) rdata[8*lane+:8] <= bytes[(r_address + lane) % BYTES];
                rlast <= r_beat == ar_length[ar_get];
                rresp <= r_address >= BYTES ? DECERR : read_beats + 1 == read_fault ? SLVERR : OKAY;
                read_beats <= read_beats + 1;
                r_beat <= r_beat == ar_length[ar_get] ? 0 : r_beat + 1;
                if (r_beat == ar_length[ar_get]) ar_get <= ar_get + 1;
            end
        end
        if (rst) {ar_put, ar_get, r_beat, rvalid, read_beats} <= 0;
    end

    // Writing: data are taken once their address was.
    reg [31:0] aw_address[0:BURSTS-1], b_due[0:BURSTS-1];
    reg [1:0] b_response[0:BURSTS-1];
    reg [4:0] aw_put, aw_get, b_put, b_get;
    reg [7:0] w_beat;
    reg [31:0] write_bursts;
    wire [31:0] w_address = (aw_address[aw_get] & -LANES) + w_beat * LANES;
    assign awready = aw_put + 5'd1 != b_get && go(random[17:10]);
    assign wready = aw_put != aw_get && go(random[24:17]);
    always @(posedge clk) begin
        if (awvalid && awready) begin
            aw_address[aw_put] <= awaddr;
            aw_put <= aw_put + 1;
        end
        if (wvalid && wready) begin
            for (int lane = 0; lane < LANES; lane++)
                if (wstrb[lane] && w_address < BYTES) bytes[w_address+lane] <= wdata[8*lane+:8];
            w_beat <= wlast ? 0 : w_beat + 1;
            if (wlast) begin
                aw_get <= aw_get + 1;
                b_put <= b_put + 1;
                b_due[b_put] <= now + delay - 1;
                b_response[b_put] <= w_address >= BYTES ? DECERR : write_bursts + 1 == write_fault ? SLVERR : OKAY;
                write_bursts <= write_bursts + 1;
            end
        end
        if (!bvalid || bready) begin
            bvalid <= b_put != b_get && now >= b_due[b_get] && go(random[31:24]);
            bresp <= b_response[b_get];
            if (b_put != b_get && now >= b_due[b_get] && go(random[31:24])) b_get <= b_get + 1;
        end
        if (rst) {aw_put, aw_get, b_put, b_get, w_beat, bvalid, write_bursts} <= 0;
    end
endmodule
