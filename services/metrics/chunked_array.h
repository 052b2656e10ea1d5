// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace desk {

/// Append-only array whose elements never move: chunks of doubling size behind a fixed directory,
/// so that readers need no lock and no copy. It does not know its own size: the owner publishes
/// one (release) after set(), and readers load that (acquire) before at().
/// THREAD: one writer; any number of readers below the published size.
template <class T>
class ChunkedArray
{
public:
    ChunkedArray() = default;
    ChunkedArray(const ChunkedArray&) = delete;
    ChunkedArray& operator=(const ChunkedArray&) = delete;
    ~ChunkedArray()
    {
        for (auto& chunk : m_chunks)
            delete[] chunk.load(std::memory_order_relaxed);
    }

    void set(std::size_t index, const T& value)
    {
        const Place place = placeOf(index);
        T* chunk = m_chunks[place.chunk].load(std::memory_order_relaxed);
        if (chunk == nullptr) {
            chunk = new T[kFirst << place.chunk];
            m_chunks[place.chunk].store(chunk, std::memory_order_release);
        }
        chunk[place.offset] = value;
    }
    [[nodiscard]] const T& at(std::size_t index) const noexcept
    {
        const Place place = placeOf(index);
        return m_chunks[place.chunk].load(std::memory_order_acquire)[place.offset];
    }

private:
    static constexpr std::size_t kFirst = 64;
    struct Place
    {
        std::size_t chunk;
        std::size_t offset;
    };
    static Place placeOf(std::size_t index) noexcept
    {
        // Chunk k begins at kFirst * (2^k - 1).
        const std::size_t scaled = index / kFirst + 1;
        const auto chunk = static_cast<std::size_t>(std::bit_width(scaled)) - 1;
        return { chunk, index - kFirst * ((std::size_t { 1 } << chunk) - 1) };
    }

    std::array<std::atomic<T*>, 30> m_chunks {};
};

} // namespace desk
