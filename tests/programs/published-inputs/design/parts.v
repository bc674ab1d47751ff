module pulse #(parameter WIDTH = 8) (input clk, input [WIDTH - 1:0] level, output reg out);
    reg [WIDTH - 1:0] place = 0;
    always @(posedge clk) begin
        place <= place + 1;
        out <= place < level;
    end
endmodule

module lfsr(input clk, input step, output reg [15:0] state);
    initial state = 16'hACE1;
    always @(posedge clk)
        if (step) state <= {state[14:0], state[15] ^ state[13] ^ state[12] ^ state[10]};
endmodule
