// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/gemm.h"

#include <algorithm>
#include <array>
#include <vector>

namespace desk::local {
namespace {
    constexpr std::size_t kGemmDepth = 256; // a packed panel of B stays in the first-level cache
    constexpr std::size_t kGemmPanels = 4; // row panels per task
    constexpr std::size_t kGemmTasks = 12; // at least, where the shape allows
    constexpr std::size_t kLargestTile = 12 * 32;

    std::size_t ceilDiv(std::size_t value, std::size_t by) noexcept
    {
        return (value + by - 1) / by;
    }

    template <class T>
    void packRightPanel(const Kernels<T>& kernels, GemmShape shape, Strided<T> b, std::size_t panel,
        std::size_t start, std::size_t depth, T* to)
    {
        const std::size_t width = kernels.tileCols;
        const std::size_t first = panel * width;
        const std::size_t valid = std::min(width, shape.cols - first);
        if (b.inner == 1) {
            for (std::size_t k = 0; k < depth; ++k, to += width) {
                const T* from = b.data + (start + k) * b.outer + first;
                std::copy(from, from + valid, to);
                std::fill(to + valid, to + width, T(0));
            }
            return;
        }
        for (std::size_t j = 0; j < width; ++j) {
            if (j >= valid) {
                for (std::size_t k = 0; k < depth; ++k)
                    to[k * width + j] = T(0);
                continue;
            }
            const T* from = b.data + start * b.outer + (first + j) * b.inner;
            for (std::size_t k = 0; k < depth; ++k)
                to[k * width + j] = from[k * b.outer];
        }
    }

    template <class T>
    void packLeftPanel(
        Strided<T> a, std::size_t height, std::size_t valid, std::size_t depth, T* to)
    {
        for (std::size_t k = 0; k < depth; ++k, to += height) {
            const T* from = a.data + k * a.inner;
            for (std::size_t r = 0; r < valid; ++r)
                to[r] = from[r * a.outer];
            std::fill(to + valid, to + height, T(0));
        }
    }

    template <class T>
    struct GemmCall
    {
        const Kernels<T>& kernels;
        GemmShape shape;
        Strided<T> a;
        const T* packed; // of B: blocks of depth, in each of them panels of columns
        std::size_t panels; // of columns
        T* c;
        std::size_t cStride;
        bool accumulates;

        void tileAt(std::size_t row, std::size_t panel, std::size_t start, std::size_t depth,
            const T* left) const
        {
            const std::size_t height = kernels.tileRows;
            const std::size_t width = kernels.tileCols;
            const std::size_t rows = std::min(height, shape.rows - row);
            const std::size_t cols = std::min(width, shape.cols - panel * width);
            const T* right = packed + start * panels * width + panel * depth * width;
            T* to = c + row * cStride + panel * width;
            const bool adds = accumulates || start > 0;
            const bool isWhole = rows == height && cols == width;
            std::array<T, kLargestTile> edge;
            T* tile = isWhole ? to : edge.data();
            const std::size_t stride = isWhole ? cStride : width;
            if (left != nullptr)
                kernels.tilePacked(depth, left, right, tile, stride, isWhole && adds);
            else
                kernels.tileInPlace(depth, a.data + row * a.outer + start, a.outer, right, tile,
                    stride, isWhole && adds);
            if (isWhole)
                return;
            for (std::size_t r = 0; r < rows; ++r)
                for (std::size_t j = 0; j < cols; ++j) {
                    T& out = to[r * cStride + j];
                    out = adds ? out + edge[r * width + j] : edge[r * width + j];
                }
        }

        void block(std::size_t firstRow, std::size_t lastRow, std::size_t firstPanel,
            std::size_t lastPanel) const
        {
            thread_local std::vector<T> buffer;
            const std::size_t height = kernels.tileRows;
            buffer.resize(kGemmPanels * height * kGemmDepth);
            for (std::size_t start = 0; start < shape.depth; start += kGemmDepth) {
                const std::size_t depth = std::min(kGemmDepth, shape.depth - start);
                for (std::size_t row = firstRow; row < lastRow; row += height) {
                    const std::size_t valid = std::min(height, shape.rows - row);
                    if (a.inner == 1 && valid == height)
                        continue;
                    packLeftPanel<T>({ a.data + row * a.outer + start * a.inner, a.outer, a.inner },
                        height, valid, depth,
                        buffer.data() + (row - firstRow) / height * height * depth);
                }
                for (std::size_t panel = firstPanel; panel < lastPanel; ++panel)
                    for (std::size_t row = firstRow; row < lastRow; row += height) {
                        const bool isInPlace = a.inner == 1 && row + height <= shape.rows;
                        tileAt(row, panel, start, depth,
                            isInPlace ? nullptr
                                      : buffer.data() + (row - firstRow) / height * height * depth);
                    }
            }
        }
    };
} // namespace

template <class T>
void multiply(ThreadPool* pool, const Kernels<T>& kernels, GemmShape shape, Strided<T> a,
    Strided<T> b, T* c, std::size_t cStride, bool accumulates)
{
    if (shape.rows == 0 || shape.cols == 0 || shape.depth == 0)
        return;
    thread_local std::vector<T> storage;
    const std::size_t width = kernels.tileCols;
    const std::size_t panels = ceilDiv(shape.cols, width);
    if (storage.size() < panels * width * shape.depth)
        storage.resize(panels * width * shape.depth);
    T* packed = storage.data();
    const std::size_t depthBlocks = ceilDiv(shape.depth, kGemmDepth);
    const auto pack = [&](std::size_t index) {
        const std::size_t start = index / panels * kGemmDepth;
        const std::size_t panel = index % panels;
        const std::size_t depth = std::min(kGemmDepth, shape.depth - start);
        packRightPanel(kernels, shape, b, panel, start, depth,
            packed + start * panels * width + panel * depth * width);
    };
    const GemmCall<T> call { kernels, shape, a, packed, panels, c, cStride, accumulates };
    if (pool == nullptr) {
        for (std::size_t i = 0; i < depthBlocks * panels; ++i)
            pack(i);
        const std::size_t step = kGemmPanels * kernels.tileRows;
        for (std::size_t row = 0; row < shape.rows; row += step)
            call.block(row, std::min(shape.rows, row + step), 0, panels);
        return;
    }
    pool->forEach(depthBlocks * panels, pack);
    const std::size_t step = kGemmPanels * kernels.tileRows;
    const std::size_t rowBlocks = ceilDiv(shape.rows, step);
    const std::size_t wanted = ceilDiv(kGemmTasks, rowBlocks);
    const std::size_t panelStep = std::max<std::size_t>(1, panels / wanted);
    const std::size_t columnBlocks = ceilDiv(panels, panelStep);
    pool->forEach(rowBlocks * columnBlocks, [&](std::size_t index) {
        const std::size_t row = index / columnBlocks * step;
        const std::size_t panel = index % columnBlocks * panelStep;
        call.block(
            row, std::min(shape.rows, row + step), panel, std::min(panels, panel + panelStep));
    });
}

template void multiply<float>(ThreadPool*, const Kernels<float>&, GemmShape, Strided<float>,
    Strided<float>, float*, std::size_t, bool);
template void multiply<double>(ThreadPool*, const Kernels<double>&, GemmShape, Strided<double>,
    Strided<double>, double*, std::size_t, bool);

} // namespace desk::local
