// A light that fades in and out by pulse width, and a second one that flickers at random.
`include "sizes.vh"

module top(input clk, output fading, output flickering);
    reg [`SLOW + `STEPS:0] count = 0;
    wire [`STEPS - 1:0] ramp = count[`SLOW +: `STEPS];
    wire [`STEPS - 1:0] level = count[`SLOW + `STEPS] ? ~ramp : ramp;
    wire [15:0] noise;

    always @(posedge clk) count <= count + 1;
    pulse #(.WIDTH(`STEPS)) pulse(.clk(clk), .level(level), .out(fading));
    lfsr lfsr(.clk(clk), .step(&count[`SLOW - 1:0]), .state(noise));
    assign flickering = noise[0] ^ noise[7];
endmodule
