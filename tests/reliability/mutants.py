"""Mutation testing of the kernels' edges: python mutants.py FOLDER [NUMBER...]. Each change below must make a test fail.

A mutant is a copy of the sources with one change. Those of C are built as the C tests are (`tests/native/build`); the
build must succeed, and the program must report a failure (or be ended by ASan, for a read too far). Those of Python
are laid over an installed copy and must fail the tests that are named. Prints each, and those that live.
"""

# ruff: noqa: E501

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: What stands between a name and what a mutant has, where the same stands in two functions.
TASK = ")(ptrdiff_t task, UNUSED int worker, void *context) {\n    const R(gradient_job) *job = context;\n    const ptrdiff_t "
LOW_WORD = "        x->word[2][i] = (v_u32){0} + (uint32_t)generation;\n        x->word[3][i] = (v_u32){0} + "

#: file, what stands there exactly once, what the mutant has
C = [
    # blocks of columns and rows
    ("csrc/tasks.h", "n / PEPG_COLUMNS + (n % PEPG_COLUMNS != 0)", "n / PEPG_COLUMNS + 1"),
    ("csrc/tasks.h", "n / PEPG_COLUMNS + (n % PEPG_COLUMNS != 0)", "n / PEPG_COLUMNS + (n % PEPG_COLUMNS > 1)"),
    ("csrc/sampling.c", "(n_pairs + grid.rows - 1) / grid.rows", "n_pairs / grid.rows"),
    ("csrc/sampling.c", "at / n * grid->rows, col", "at % n * grid->rows, col"),
    ("csrc/sampling.c", "((task / grid->blocks + 1) * grid->strips - 1)", "task / grid->blocks * grid->strips"),
    ("csrc/sampling.c", "min_size(row + grid->rows, grid->n_pairs)", "row + grid->rows"),
    ("csrc/sampling.c", "min_size(col + PEPG_COLUMNS, grid->dim)", "col + PEPG_COLUMNS"),
    ("csrc/step.c", "if (t & 1) result *= b;", "result *= b;"),
    ("csrc/step.c", "for (; t; t >>= 1, b *= b)", "for (; t > 1; t >>= 1, b *= b)"),
    ("csrc/step.c", "sqrt(1.0 - pepg_power(beta_2, t)) / (1.0 - pepg_power(beta_1, t))",
     "sqrt(1.0 - pepg_power(beta_1, t)) / (1.0 - pepg_power(beta_2, t))"),
    ("csrc/checks.h", "draw->first_pair > most_pairs - (uint64_t)draw->n_pairs",
     "draw->first_pair > most_pairs"),
    ("csrc/checks.h", "draw->n_pairs > PTRDIFF_MAX / 8 / draw->dim", "0"),
    ("csrc/checks.h", "draw->n_pairs < 1", "draw->n_pairs < 0"),
    ("csrc/checks.h", "draw->dim < 1", "draw->dim < 0"),
    ("csrc/checks.h", "rule >= PEPG_SGD && rule <= PEPG_CLIPUP", "rule >= PEPG_SGD"),
    ("csrc/checks.h", "rule >= PEPG_SGD && rule <= PEPG_CLIPUP", "rule <= PEPG_CLIPUP"),
    ("csrc/networks.c", "const ptrdiff_t rows = sizes[l] + (network->bias != 0);", "const ptrdiff_t rows = sizes[l] + 1;"),
    ("csrc/networks.c", "return 2 * (size_t)min_size(batch, PEPG_BATCH)", "return (size_t)min_size(batch, PEPG_BATCH)"),
    ("csrc/networks.c", "PEPG_PADDED(widest_of(network)) +", "widest_of(network) +"),
    ("csrc/sampling.c", "job->noise + tile.row_lo * dim + tile.col_lo", "job->noise + tile.row_lo * dim"),
    ("csrc/sampling_real.inc", "values + row * job->dim + lo", "values + row * job->dim"),
    ("csrc/update_real.inc", f"adam_update_task{TASK}lo = task * job->columns, hi = min_size(lo + job->columns, job->hi)",
     f"adam_update_task{TASK}lo = task * job->columns, hi = lo + job->columns"),
    ("csrc/update_real.inc", f"descent_task{TASK}lo = task * job->columns, hi = min_size(lo + job->columns, job->hi)",
     f"descent_task{TASK}lo = task * job->columns, hi = lo + job->columns"),
    ("csrc/gradients_real.inc", "(n + job->columns - 1) / job->columns", "n / job->columns"),
    ("csrc/gradients_real.inc", "min_size(lo + job->columns, job->hi)", "lo + job->columns"),
    ("csrc/update_real.inc", "job->m + lo, job->v + lo, job->mu + lo);", "job->m + lo, job->v + lo, job->mu);"),
    ("csrc/step_real.inc", "v + lo, step);\n    memcpy(job->step + lo, step, (size_t)n * sizeof *step)",
     "v + lo, step);\n    memcpy(job->step + lo, step, (size_t)(n - 1) * sizeof *step)"),
    ("csrc/step_real.inc", "    else\n        memcpy(job->step + lo, step, (size_t)n * sizeof *step)",
     "    else\n        memcpy(job->step + lo, step, (size_t)(n - 1) * sizeof *step)"),
    ("csrc/networks_real.inc", "(out + columns - 1) / columns, team, R(layer_task)", "out / columns, team, R(layer_task)"),
    ("csrc/networks_real.inc", "work + (l % 2) * PEPG_PADDED(widest_of(network))", "work"),
    ("csrc/networks_real.inc", "layer.col_hi = min_size(layer.col_lo + job->columns, layer.out)",
     "layer.col_hi = layer.col_lo + job->columns"),
    ("csrc/networks_real.inc", "min_size(job->chunk, job->batch - lo)", "job->chunk"),
    ("csrc/networks_real.inc", "job->y + row * network->sizes[network->n_layers]", "job->y + member * network->sizes[network->n_layers]"),
    # the sample
    ("csrc/kernels/sample.c", "const v_real high = center + e, low = center - e;",
     "const v_real high = center - e, low = center + e;"),
    ("csrc/kernels/sample.c", "if (minus) R(store_first)(minus, center - e, count);",
     "if (minus) R(store_first)(minus, center + e, count);"),
    ("csrc/kernels/sample.c", "j + LANES <= n; j += LANES", "j + LANES <= n + 1; j += LANES"),
    ("csrc/kernels/sample.c", "if (j < n)\n        R(sample_first)", "if (j + 1 < n)\n        R(sample_first)"),
    ("csrc/kernels/sample.c", "row < LANES && row < rows; ++row", "row < LANES && row + 1 < rows; ++row"),
    ("csrc/kernels/sample.c", "(rows < LANES ? rows : LANES) * n", "LANES * n"),
    ("csrc/kernels/sample.c", "if (dim <= NARROW && !stream) {", "if (dim <= NARROW + 1 && !stream) {"),
    ("csrc/kernels/sample.c", "if (dim <= NARROW && !stream) {", "if (dim <= NARROW) {"),
    ("csrc/kernels/sample.c", "const ptrdiff_t at = rows.row_lo * dim;", "const ptrdiff_t at = 0;"),
    ("csrc/kernels/sample.c", "minus[j] = mu[j] - e[j]", "minus[j] = mu[j] + e[j]"),
    ("csrc/kernels/sample.c", "R(sample_row)(0, head, mu, sigma, z, plus, minus);", ""),
    ("csrc/kernels/sample.c", "tile.row_hi - tile.row_lo < n_rows ? tile.row_hi : tile.row_lo + n_rows",
     "tile.row_lo + n_rows"),
    ("csrc/kernels/sample.c", "const ptrdiff_t stride = in_place ? dim : n_columns;", "const ptrdiff_t stride = dim;"),
    ("csrc/kernels/sample.c", "x > upper[j] ? upper[j] : x", "x >= upper[j] ? x : upper[j]"),
    ("csrc/kernels/sample.c", "values[j] < lower[j] ? lower[j] : values[j]", "lower[j]"),
    # the noise
    ("csrc/kernels/normals.c", "lo + step <= hi; lo += step", "lo + step < hi + 4; lo += step"),
    ("csrc/kernels/normals.c", "first_block + (uint32_t)(lo / 4)", "first_block + (uint32_t)(lo / 4) + 1"),
    ("csrc/kernels/normals.c", "(n_columns - done + 3) / 4", "(n_columns - done + 2) / 4"),
    ("csrc/kernels/normals.c", "first_block + (uint32_t)(done / 4)", "first_block"),
    ("csrc/kernels/normals.c", "if (!is_last || n_last == 4 || at <= most)", "if (!is_last || n_last >= 3 || at <= most)"),
    ("csrc/kernels/normals.c", "n_columns == stride ? n_rows * stride - 4 : -1", "n_columns == stride ? n_rows * stride - 3 : -1"),
    ("csrc/kernels/normals.c", "n_columns == stride ? n_rows * stride - 4 : -1", "n_rows * stride - 4"),
    ("csrc/kernels/normals.c", "++block == n_blocks;", "++block >= n_blocks - 1;"),
    ("csrc/kernels/normals.c", "if (count > RNG_COUNTERS / 2)", "if (count > RNG_COUNTERS / 2 + 1)"),
    ("csrc/kernels/normals.c", "is_last ? stride - 4 * (n_blocks - 1) : 4", "is_last ? stride - 4 * n_blocks : 4"),
    ("csrc/kernels/normals.c", "draw->first_pair + (uint64_t)tile.row_lo", "draw->first_pair"),
    ("csrc/kernels/normals.c", "const uint32_t pair = first_pair + (uint32_t)row;", "const uint32_t pair = first_pair;"),
    ("csrc/kernels/normals.c", "(size_t)(n - j) * sizeof(float)", "(size_t)(n - j) / 2 * sizeof(float)"),
    ("csrc/rng.h", f"row + first_pair;\n{LOW_WORD}(uint32_t)(generation >> 32);", f"row + first_pair;\n{LOW_WORD}0u;"),
    ("csrc/rng.h", f"(v_u32){{0}} + pair;\n{LOW_WORD}(uint32_t)(generation >> 32);", f"(v_u32){{0}} + pair;\n{LOW_WORD}0u;"),
    ("csrc/rng.h", "TO_F32((v_i32)number) + 0.5f", "TO_F32((v_i32)number) + 1.5f"),
    ("csrc/rng.h", "k1 += PHILOX_W1;", "k1 -= PHILOX_W1;"),
    ("csrc/rng.h", "#define PHILOX_ROUNDS 10", "#define PHILOX_ROUNDS 9"),
    ("csrc/rng.h", "(v_u32)half ^ (w << 31)", "(v_u32)half ^ (w << 30 & 0x80000000u)"),
    # the gradients
    ("csrc/kernels/gradient.c", "row += PEPG_PAIRS", "row += PEPG_PAIRS + 1"),
    ("csrc/kernels/gradient.c", "n_pairs - row < PEPG_PAIRS ? n_pairs - row : PEPG_PAIRS",
     "n_pairs - row <= PEPG_PAIRS ? n_pairs - row - 1 : PEPG_PAIRS"),
    ("csrc/kernels/gradient.c", "g_mu[j] += sum_z[j];", "g_mu[j] = sum_z[j];"),
    ("csrc/kernels/gradient.c", "g_sigma[j] += sum_zz[j];", "g_sigma[j] -= sum_zz[j];"),
    ("csrc/kernels/gradient.c", "j < PEPG_PADDED(n); ++j)", "j < n - 1; ++j)"),
    ("csrc/kernels/gradient.c", "sigma[lo + j] * (g_sigma[j] - total) / population",
     "sigma[lo + j] * (g_sigma[j] + total) / population"),
    ("csrc/kernels/gradient.c", "g_sigma[j] / sigma[lo + j] - sigma[lo + j] * total",
     "g_sigma[j] / sigma[lo + j] + sigma[lo + j] * total"),
    ("csrc/kernels/gradient.c", "(real)(2 * draw->n_pairs)", "(real)(2 * draw->n_pairs + 1)"),
    ("csrc/kernels/gradient.c", "rows - i < 4 ? rows - i : 4", "rows - i < 3 ? rows - i : 4"),
    ("csrc/kernels/gradient.c", "delta + i, even + i, sum_z, sum_zz);\n    }", "delta, even + i, sum_z, sum_zz);\n    }"),
    ("csrc/kernels/gradient.c", "even_sum += even[i]", "even_sum += even[0]"),
    ("csrc/kernels/sum_rows.c", "k == vectors - 1 && last < LANES ? LOAD_SOME(p, last)",
     "k == vectors - 1 && last < LANES - 1 ? LOAD_SOME(p, last)"),
    # the steps
    ("csrc/kernels/optimizer.c", "a.minus_size * first / (R(root)(second) + a.epsilon)",
     "-a.minus_size * first / (R(root)(second) + a.epsilon)"),
    ("csrc/kernels/optimizer.c", "is_finite ? first : *m", "first"),
    ("csrc/kernels/optimizer.c", "is_finite ? second : *v", "second"),
    ("csrc/kernels/optimizer.c", "(first - first) + (second - second) == 0", "first - first == 0"),
    ("csrc/kernels/optimizer.c", "value - value == 0 ? value : otherwise", "value == value ? value : otherwise"),
    ("csrc/kernels/optimizer.c", "R(if_finite)(mu[j] + step, mu[j])", "mu[j] + step"),
    ("csrc/kernels/optimizer.c", "R(if_finite)(ra * x[j] + rb * y[j], 0)", "ra * x[j] + rb * y[j]"),
    ("csrc/kernels/optimizer.c", "a.b1 * *m + a.c1 * gradient", "a.b1 * *m - a.c1 * gradient"),
    ("csrc/kernels/optimizer.c", "descent[j] = decay * mu[j] - g_mu[j]", "descent[j] = decay * mu[j] + g_mu[j]"),
    ("csrc/kernels/optimizer.c", "(a, decay * mu[j] - g_mu[j]", "(a, decay * mu[j] + g_mu[j]"),
    ("csrc/kernels/optimizer.c", "kept * velocity[j] + added * gradient[j]", "kept * velocity[j] - added * gradient[j]"),
    ("csrc/kernels/optimizer.c", "low = sigma - most, high = sigma + most", "low = sigma + most, high = sigma - most"),
    ("csrc/kernels/optimizer.c", "s = s < minimum ? minimum : s;", ""),
    ("csrc/kernels/optimizer.c", "return s > maximum ? maximum : s;", "return s;"),
    ("csrc/kernels/optimizer.c", "j + 8 <= n; j += 8", "j + 8 <= n + 1; j += 8"),
    ("csrc/kernels/optimizer.c", "for (int k = 0; j < n; ++j, ++k)", "for (int k = 0; j < n - 1; ++j, ++k)"),
    ("csrc/kernels/optimizer.c", "minima = changes + rule->stride", "minima = changes"),
    ("csrc/kernels/optimizer.c", "(double)nearest < limit ? R(above)(nearest) : nearest", "nearest"),
    ("csrc/kernels/optimizer.c", "(const real *)rule->limits + lo", "(const real *)rule->limits"),
    ("csrc/step_real.inc", "speed > max_speed", "speed < max_speed"),
    ("csrc/step_real.inc", "job->scale = -alpha / length;", "job->scale = alpha / length;"),
    ("csrc/step_real.inc", "if (!isfinite((real)job->scale)) job->scale = 0.0;", ""),
    ("csrc/step_real.inc", "total > 1e-200 && total < 1e300", "total > 1e-200"),
    ("csrc/step_real.inc", "rule == PEPG_NESTEROV ? -alpha * job->momentum : -alpha", "-alpha"),
    ("csrc/step_real.inc", "for (ptrdiff_t i = 0; i < n_tasks; ++i) total", "for (ptrdiff_t i = 1; i < n_tasks; ++i) total"),
    ("csrc/kernels/optimizer.c", "s = s == s ? s : sigma;", ""),
    # the search in C
    ("csrc/update_real.inc", "if (!rule->eps_hat) job->adam.epsilon *=", "if (rule->eps_hat) job->adam.epsilon *="),
    ("csrc/update_real.inc", "if (rule.max_speed == 0.0) rule.max_speed = 2.0", "if (rule.max_speed == 0.0) rule.max_speed = 3.0"),
    ("csrc/checks.h", "return x >= 0.0 && x < 1.0;", "return x >= 0.0 && x <= 1.0;"),
    ("csrc/checks.h", "if (((const char *)given)[i]) return 0;", ";"),
    ("csrc/search.c", "delta[i] = 2.0 * even[i];", "delta[i] = even[i];"),
    ("csrc/search.c", "search->minimize ? -rewards[i] : rewards[i];", "rewards[i];"),
    ("csrc/search.c", "return at + ALIGNMENT;", "return at;"),
    ("csrc/search.c", "++search->generation;", ""),
    ("csrc/search_real.inc", "if (limits[2] > GREATEST) limits[2] = GREATEST;", ""),
    ("csrc/search_real.inc", "if (!search->is_pending) return PEPG_ESTATE;", ""),
    ("csrc/search_real.inc", "search->is_pending = 0;", ""),
    ("csrc/search_real.inc", "is_minus ? index - rows : index", "index"),
    ("csrc/search_real.inc", "if (search->lower) NAME(pepg_clip)(1,", "if (0) NAME(pepg_clip)(1,"),
    ("csrc/search_run.c", "search->is_pending = before.is_pending;", "search->is_pending = 0;"),
    ("csrc/search_run.c", "search->generation = before.generation;", ""),
    ("csrc/search_run_real.inc", "search->noise + lo * dim", "search->noise"),
    ("csrc/search_run_real.inc", ".first_pair = (uint64_t)lo}", ".first_pair = 0}"),
    ("csrc/search_run_real.inc", "search->step * (uint64_t)episodes", "search->step"),
    ("csrc/search_run_real.inc", "search->interactions += made;", "search->interactions = made;"),
    # gradients in parts
    ("csrc/gradients_real.inc", "lo = job->lo + at;", "lo = at;"),
    ("csrc/gradients_real.inc", "min_size(lo + job->columns, job->hi), job->draw", "lo + job->columns, job->draw"),
    ("csrc/gradients_real.inc", "job->g_sigma + at);", "job->g_sigma);"),
    ("csrc/gradients_real.inc", "lo >= hi || hi > draw->dim", "lo >= hi || hi > draw->dim + 1"),
    # the ranks
    ("csrc/rank.c", "if (n <= PEPG_COMPARE_LIMIT) {", "if (n <= PEPG_COMPARE_LIMIT + 1) {"),
    ("csrc/rank.c", "(double)(first + end - 1)", "(double)(first + end)"),
    ("csrc/rank.c", "x += 0.0;", ""),
    ("csrc/rank.c", "bits >> 63 ? ~bits : bits", "bits >> 63 ? bits : bits"),
    ("csrc/rank.c", "end < n && sorted[end].key == sorted[first].key", "end < n - 1 && sorted[end].key == sorted[first].key"),
    ("csrc/rank.c", "plus[i] - minus[i]", "minus[i] - plus[i]"),
    ("csrc/rank.c", "even[i] -= mean", "even[i] += mean"),
    ("csrc/rank.c", "DIGIT_BITS = 11, DIGITS = 6", "DIGIT_BITS = 11, DIGITS = 5"),
    ("csrc/rank.c", "has_nan |= isnan(rewards[i]) != 0", "has_nan = isnan(rewards[i]) != 0"),
    ("csrc/kernels/compare.c", "return sum == (int)(n * (n - 1) / 2);", "return sum <= (int)(n * (n - 1) / 2);"),
    ("csrc/kernels/compare.c", "twice_rank[i] / 2.0 + (double)(n - 1) - (double)above[i]",
     "twice_rank[i] / 2.0 + (double)n - (double)above[i]"),
    ("csrc/kernels/compare.c", "n - at >= LANES ? R(load)", "n - at >= LANES - 1 ? R(load)"),
    ("csrc/kernels/compare.c", "n - lo > 2 * LANES", "n - lo > 3 * LANES"),
    ("csrc/kernels/ranks.c", "if (are_equal(n, x, rounded))", "if (1)"),
    ("csrc/kernels/ranks.c", "else if (!twice_number_below_f64(n, x, twice_rank))", "else if (0)"),
    # networks
    ("csrc/kernels/forward.c", "const real *biases = w + layer.in * layer.out + k * LANES;",
     "const real *biases = w + k * LANES;"),
    ("csrc/kernels/forward.c", "for (; i + 8 <= layer.in; i += 8)", "for (; i + 8 < layer.in + 8; i += 8)"),
    ("csrc/kernels/forward.c", "if (whole == hi) return;", "if (whole >= hi - 1) return;"),
    ("csrc/kernels/forward.c", "batch - lo < chunk ? batch - lo : chunk", "chunk"),
    ("csrc/kernels/forward.c", "layer.col_hi - j < narrow ? layer.col_hi - j : narrow", "narrow"),
    ("csrc/kernels/forward.c", "r + TILE_ROWS <= batch; r += TILE_ROWS", "r + TILE_ROWS < batch; r += TILE_ROWS + 1"),
    ("csrc/kernels/members.c", "members - lo < LANES ? members - lo : LANES", "LANES"),
    ("csrc/kernels/members.c", "(lane < members ? lane : members - 1) * weights_stride", "lane * weights_stride"),
    ("csrc/kernels/forward.c", "w += (in + network->bias) * out;\n            input = output;",
     "w += in * out;\n            input = output;"),
    ("csrc/kernels/activation.c", "SELECT(x < 0, t, one) / (one + t)", "SELECT(x < 0, one, t) / (one + t)"),
    ("csrc/kernels/activation.c", "return SELECT(x < 0, -t, t);", "return t;"),
    ("csrc/kernels/activation.c", "j + LANES <= n; j += LANES", "j + LANES < n; j += LANES + 1"),
    ("csrc/kernels/activation.c", "values[j] /= sum", "values[j] *= sum"),
    ("csrc/kernels/activation.c", "values[j] -= top", "values[j] += top"),
    # simulation
    ("csrc/simulation.c", "index % job->episodes", "index / job->episodes"),
    ("csrc/simulation.c", "episode->steps < environment->max_steps", "episode->steps <= environment->max_steps"),
    ("csrc/simulation.c", "isfinite(reward) ? PEPG_NO_FAULT : PEPG_BAD_REWARD", "PEPG_NO_FAULT"),
    ("csrc/simulation.c", "fault ? NAN : episode->total", "episode->total"),
    ("csrc/simulation.c", "memset(episode->state, 0,", "memset(episode->state, 1,"),
    ("csrc/simulation_real.inc", "if (kept < row) {", "if (kept > row) {"),
    ("csrc/simulation_real.inc", "index / job->episodes * job->weights_stride", "index % job->episodes * job->weights_stride"),
    ("csrc/simulation_real.inc", "left < job->unit ? left : job->unit", "job->unit"),
    ("csrc/simulation.c", "atomic_load(&job->poll.is_stopped) ? PEPG_EINTERRUPTED : PEPG_OK", "PEPG_OK"),
    # threads
    ("csrc/parallel.c", "if (forked || is_in_team ||", "if (is_in_team ||"),
    ("csrc/parallel.c", "tasks->n_tasks % tasks->n_ranges * range / tasks->n_ranges", "0"),
    ("csrc/parallel.c", "end = last - first < tasks->run ? last : first + tasks->run", "end = first + tasks->run"),
    ("csrc/worth.h", "alone > 0.0 && alone < WORTH_STAYING_ALONE * team", "alone > WORTH_STAYING_ALONE * team"),
    ("csrc/worth.h", "if (of->better == WITH_TEAM && team > LONGEST_COMPARED) return 0;", ""),
    ("csrc/worth.h", "if (!of->has_ended) of->typical[of->way] =", "if (!of->has_ended) of->typical[0] ="),
    ("csrc/worth.h", "if (of->slower == 2 ||", "if (of->slower == 1 ||"),
    ("csrc/worth.h", "        every *= 2;", "        ;"),
    ("csrc/worth.h", "        of->way = of->better;", "        ;"),
    ("csrc/worth.h", "found->task != task ||", ""),
    ("csrc/worth.h", "whole == begun.whole && task != begun.task", "task != begun.task"),
    ("csrc/worth.h", "    call.seconds += seconds;", "    call.seconds = seconds;"),
    ("csrc/worth.h", "    if (whole) begun.of = NULL;", "    begun.of = NULL;"),
    ("csrc/worth.h", "if (is_known && whole) note_call(begun.of, begun.seconds);", ""),
]  # fmt: skip

#: file under src/pepg_fast, before, after, and the tests that must notice
PYTHON = [
    ("storage/files.py", "os.fsync(output.fileno())", "pass", "tests/test_files.py"),
    ("storage/files.py", "os.unlink(path)  # the file is empty", "pass", "tests/reliability/test_crash_safety.py"),
    ("storage/archives.py", "    if method:\n", "    if False:\n", "tests/test_files.py"),
    ("storage/archives.py", "if text in found:", "if False:", "tests/test_archives.py"),
    ("storage/archives.py", "if flags & ~_UTF8 or", "if", "tests/test_archives.py"),
    ("storage/archives.py", "if archive[at : at + len(entry)] != entry:", "if False:", "tests/test_archives.py"),
    ("search/streams.py", '"pos": 624', '"pos": 625', "tests/test_streams.py"),
    ("search/streams.py", '"buffer_pos": 4', '"buffer_pos": 5', "tests/test_streams.py"),
    ("storage/files.py", "if comment[len(_DIGEST) :] !=", "if False and comment !=", "tests/test_files.py"),
    ("storage/files.py", "except Exception as error:  # reading", "except ValueError as error:  # there", "tests/test_files.py"),
    ("storage/files.py", 'meta["version"] > VERSION', 'meta["version"] > VERSION + 1', "tests/test_files.py"),
    ("storage/files.py", "stat.S_IMODE(old.st_mode) & 0o777", "0o600", "tests/test_files.py"),
    ("storage/files.py", "0o600 if old else 0o666", "0o666", "tests/test_files.py"),
    ("_checks.py", "int(np.sum(mask)) if isinstance", "0 if isinstance", "tests/reliability/test_extremes.py"),
    ("_checks.py", 'requirements=["C", "A"]', 'requirements=["C"]', "tests/reliability/test_extremes.py"),
    ("_checks.py", "if number < at_least:", "if number < at_least - 1:", "tests/test_pepg.py"),
    ("_checks.py", "if symmetric and size % 2:", "if False:", "tests/test_pepg.py"),
    ("_checks.py", "if not 0 <= result < 1:", "if not 0 <= result <= 1:", "tests/test_optimizers.py"),
    ("_checks.py", "if positive and result <= 0:", "if positive and result < 0:", "tests/test_distribution.py"),
    ("_checks.py", "at_least=1, at_most=MOST_THREADS)", "at_least=1, at_most=MOST_THREADS + 1)", "tests/reliability/test_extremes.py"),
    ("search/planning.py", "self._is_better(float(self._value), float(es.best_fitness))", "self._is_better(self._value, es.best_fitness)",
     "tests/test_pepg.py"),
    ("search/planning.py", "value > other if self._es._fitness.maximize", "value >= other if self._es._fitness.maximize", "tests/test_pepg.py"),
    ("search/planning.py", "if not self._generation.is_pending:", "if False:", "tests/test_pepg.py"),
    ("search/sigma.py", "(given < least).any() or", "", "tests/test_pepg.py"),
    ("search/planning.py", "self._interactions < es.num_interactions", "self._made <= es.num_interactions",
     "tests/test_adaptive_population.py"),
    ("search/planning.py", "n_scored >= es.popsize_max", "n_scored > es.popsize_max", "tests/test_adaptive_population.py"),
    ("storage/checkpoints.py", '_checks.attributes(kind, state["extra"], _own(kind))', 'state["extra"]',
     "tests/test_checkpoints.py"),
    ("optimizers.py", "_checks.attributes(cls, state)", "state", "tests/test_checkpoints.py"),
    ("search/generation.py", "scored.n_draws + self.n_draws, (", "scored.n_draws + self.n_draws + 1, (", "tests/test_adaptive_population.py"),
    ("search/generation.py", "rows = slice(first - minus * n, last - minus * n)", "rows = slice(first, last)", "tests/test_pepg.py"),
    ("search/generation.py", "if self.scored is not None:  # a generation has one distribution", "if False:", "tests/test_adaptive_population.py"),
    ("search/fitness.py", "np.multiply(weights[1], 2.0, out=weights[0])", "np.multiply(weights[1], 1.0, out=weights[0])",
     "tests/test_distribution.py"),
    ("search/fitness.py", "-np.inf if by_rank else others.min()", "others.min()", "tests/test_fitness.py"),
    ("search/fitness.py", "(np.abs(weights) <= self._greatest).all()", "np.isfinite(weights).all()", "tests/reliability/test_extremes.py"),
    ("storage/checkpoints.py", "    _refuse_what_cannot_be_loaded(es, state)\n", "", "tests/test_checkpoints.py"),
    ("search/generation.py", "if any(np.shape(part) != (self.size,) for part in scored):", "if False:", "tests/test_checkpoints.py"),
    ("search/planning.py", "np.copyto(mu, es._mu, where=~np.isfinite(mu))", "pass", "tests/test_pepg.py"),
    ("storage/files.py", "if codes.max(initial=0) > sys.maxunicode:", "if False:", "tests/test_files.py"),
    ("storage/pickle_reader.py", "if math.prod(shape) * dtype.itemsize != data.memory.size:", "if False:", "tests/test_legacy.py"),
    ("storage/pickle_reader.py", "if name in self._admitted:", "if True:", "tests/test_legacy.py"),
    ("training/rollouts.py", ".max(initial=0.0) <= largest", ".max(initial=0.0) > largest", "tests/test_training_rollouts.py"),
    ("training/rollouts.py", "observation.shape == shape", "observation.ndim == 1", "tests/test_training_rollouts.py"),
    ("training/rollouts.py", "if not isinstance(reward, float):", "if False:", "tests/test_training_rollouts.py"),
    ("training/policy.py", "            self._from_state(state)\n", "            pass\n", "tests/test_training_policy.py"),
    ("training/trainer.py", "        self._read(state)  # refuse", "        # refuse", "tests/test_training.py"),
    ("training/workers.py", "closing.append(executor.submit(_close))", "pass", "tests/test_training_workers.py"),
    ("run/history.py", "if damaged:  # only", "if False:  # only", "tests/test_callbacks.py"),
    ("run/limits.py", "run.steps - run.last_improvement >= self.patience:", "run.steps - run.last_improvement > self.patience:",
     "tests/test_running.py"),
]  # fmt: skip


def changed(source: Path, before: str, after: str) -> str:
    text = source.read_text()
    if before and text.count(before) != 1:
        found = f"stands there {text.count(before)} times"
        raise SystemExit(f"{source}: {before!r} {found}: the list is out of date")
    return text.replace(before, after, 1)


def run(command, **options):
    """Run a command; return its output and status. A command that hangs is ended with its children."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, **options,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, output)


def c_tests_pass(folder: Path, file: str, before: str = "", after: str = "") -> bool:
    """Run the C tests in the build that compiles fastest, then under ASan in teams, then in the release build."""
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for part in ("csrc", "tests/native"):
        shutil.copytree(ROOT / part, tree / part)
    (tree / file).write_text(changed(tree / file, before, after))
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    writes_past_the_caches = file.endswith(("sample.c", "normals.c"))  # where it is large
    for units, flags, size in (
        ("baseline", ["-O0"], ["small"]),
        ("baseline", [*sanitizers, "-O1", "-fopenmp"], ["small"]),
        ("all", ["-fopenmp"], [] if writes_past_the_caches else ["small"]),
    ):
        build = run(
            [tree / "tests/native/build", folder / "mutant", *flags],
            env=os.environ | {"PEPG_UNITS": units},
        )
        if build.returncode:
            raise SystemExit(f"{file}: {after!r} does not compile:\n{build.stdout[-2000:]}")
        tested = run(
            [folder / "mutant", *size], env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
        )
        if tested.returncode:
            return False
    return True


def python_tests_pass(file: str, before: str, after: str, tests: str) -> bool:
    """Run the named tests with the changed files laid over the copy of this interpreter."""
    import pepg_fast

    installed = Path(pepg_fast.__file__).parent / file
    kept = installed.read_text()
    try:
        installed.write_text(changed(ROOT / "src/pepg_fast" / file, before, after))
        tested = run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests], cwd=ROOT
        )
    finally:
        installed.write_text(kept)
    if tested.returncode not in (0, 1):  # they did not begin
        raise SystemExit(f"{tests}: status {tested.returncode}:\n{tested.stdout[-2000:]}")
    return not tested.returncode


def outcome(folder: Path, file: str, before: str, after: str, *tests: str) -> str:
    try:
        if tests:
            return "LIVES" if python_tests_pass(file, before, after, *tests) else "noticed"
        return "LIVES" if c_tests_pass(folder, file, before, after) else "noticed"
    except subprocess.TimeoutExpired:
        return "hangs"


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    mutants = [*C, *PYTHON]
    for file, before, after, *tests in mutants:
        changed(ROOT / ("src/pepg_fast" if tests else "") / file, before, after)
    numbers = [int(number) for number in sys.argv[2:]] or range(len(mutants))
    if any(len(mutants[i]) == 3 for i in numbers) and not c_tests_pass(
        folder, "csrc/kernels/sample.c"
    ):
        raise SystemExit("the C tests fail as it is")
    for tests in sorted({mutants[i][3] for i in numbers if len(mutants[i]) > 3}):
        if not python_tests_pass("__init__.py", "", "", tests):
            raise SystemExit(f"{tests} fails as it is")
    outcomes = []
    for i in numbers:
        file, before, after, *tests = mutants[i]
        outcomes.append(outcome(folder, file, before, after, *tests))
        print(f"{i} {outcomes[-1]:7} {file}: {before!r} -> {after!r}", flush=True)
    living, hanging = outcomes.count("LIVES"), outcomes.count("hangs")
    print(f"{len(outcomes)} mutants, {living} of them live, {hanging} hang")
    sys.exit(bool(living))


if __name__ == "__main__":
    main()
