# SPDX-License-Identifier: MIT
#
# The first figure of the GHM paper (Li, Liu, Wang, AAAI 2019), drawn from the data
# that the program `train` writes:
#
#     gnuplot -c figure.gp DATA FIGURE TITLE
#
# FIGURE ends in .svg or .png.  Columns of DATA: lower and upper edge of a bin of
# gradient norms, number of examples, how many of them with a flipped label, GHM-C
# weight, then for each loss the sum of the gradient norms of the bin's examples.

data = ARG1
output_path = ARG2
main_title = ARG3

first_loss = 6
stats data using 0 nooutput
last_loss = STATS_columns

if (output_path[strlen(output_path) - 3:] eq ".png") {
    set terminal pngcairo size 1500,540 font "sans,12" enhanced
} else {
    set terminal svg size 1500,540 font "sans-serif,15" enhanced background "white"
}
set output output_path
set encoding utf8

set multiplot layout 1,3 title main_title font ",16"
set key autotitle columnheader
set border 3
set tics nomirror out
set grid ytics linecolor rgb "#dddddd" linetype 1 linewidth 0.5
set xrange [0:1]
set xtics 0.2
set logscale y
set format y "10^{%T}"

# Colours that people with any kind of colour vision can tell apart.
array colours[6] = ["#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"]
array marks[6] = [7, 5, 9, 11, 13, 3]

set title "How many examples"
set xlabel "gradient norm g = |p − t|"
set ylabel "number of examples"
set style fill solid 1.0 border rgb "#ffffff"
set yrange [0.7:]
set key top right
plot data using (($1 + $2) / 2):3:($2 - $1) with boxes linecolor rgb "#b0b0b0" \
         title "all examples", \
     data using (($1 + $2) / 2):($4 > 0 ? $4 : NaN):($2 - $1) with boxes \
         linecolor rgb "#CC3311" title "of these, label flipped"
set yrange [*:*]

set title "What each loss makes of the gradient norm"
set xlabel "gradient norm g, mean of the bin"
set ylabel "gradient norm after re-weighting"
set key bottom right
plot for [loss = first_loss:last_loss] data \
    using ($3 > 0 ? column(first_loss) / $3 : NaN):($3 > 0 ? column(loss) / $3 : NaN) \
    with linespoints linecolor rgb colours[loss - first_loss + 1] linewidth 2 \
    pointtype marks[loss - first_loss + 1] pointsize 0.6 title columnheader(loss)

set title "What all examples of a bin contribute"
set xlabel "gradient norm g"
set ylabel "sum of the gradient norms of a bin"
set key bottom right
plot for [loss = first_loss:last_loss] data \
    using (($1 + $2) / 2):($3 > 0 ? column(loss) : NaN) \
    with linespoints linecolor rgb colours[loss - first_loss + 1] linewidth 2 \
    pointtype marks[loss - first_loss + 1] pointsize 0.6 title columnheader(loss)

unset multiplot
