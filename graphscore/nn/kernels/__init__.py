"""CPU kernels: edge work block by block, with derivatives by hand."""
