module focalghm

go 1.24
