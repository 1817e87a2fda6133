// SPDX-License-Identifier: MIT

module focalghm

go 1.24
