`define SLOW 14
`define STEPS 8
