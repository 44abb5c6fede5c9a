// Writes trace.txt: a line for each descriptor that starts or is through. The engine's activity, cycle by cycle, sums
// up to what the line says: cycle, unit, 0 or 1 for start or end, number of the descriptor, and how often each flag was
// set up to here.

module engine_trace #(
    parameter FLAGS = 7,
    parameter UNITS = 3,
    parameter NUMBER = 24  // bits
) (
    input clk,
    input rst,
    input [FLAGS-1:0] flags,
    input [UNITS-1:0] started,
    input [UNITS-1:0] finished,
    input [UNITS*NUMBER-1:0] numbers
);
    integer file;
    reg [31:0] cycle;
    reg [31:0] sums[0:FLAGS-1];
    initial file = $fopen("trace.txt", "w");

    task line(input integer unit, input ended);
        $fwrite(file, "%0d %0d %0d %0d", cycle, unit, ended, numbers[unit*NUMBER+:NUMBER]);
        for (int flag = 0; flag < FLAGS; flag++) $fwrite(file, " %0d", sums[flag]);
        $fwrite(file, "\n");
        $fflush(file);
    endtask

    always @(posedge clk) begin
        cycle <= rst ? 0 : cycle + 1;
        for (int flag = 0; flag < FLAGS; flag++) sums[flag] <= rst ? 0 : sums[flag] + 32'(flags[flag]);
        for (int unit = 0; unit < UNITS; unit++) begin
            if (!rst && finished[unit]) line(unit, 1);
            if (!rst && started[unit]) line(unit, 0);
        end
    end
endmodule
