// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// Private to the codecs of tensors: their bounds, and sparse tensors made dense (trainer.md 3.3).

namespace desk {

// A sparse tensor of a few bytes may stand for many elements: one tensor, and one body.
inline constexpr std::int64_t kMaxTensorElements = 16'000'000;
inline constexpr std::size_t kMaxBodyElements = 64'000'000;
inline constexpr std::size_t kMaxTensorDimensions = 8;
inline constexpr std::size_t kMaxDatums = 65'536;

inline Error badTensor(std::string message)
{
    return Error { Error::Code::Malformed, std::move(message), {}, {}, {} };
}

/// Takes `count` from what a body may still hold, before it is allocated.
inline Status takeElements(std::size_t& budget, std::size_t count)
{
    if (count > budget)
        return badTensor("The body has more than 64000000 tensor elements");
    budget -= count;
    return done();
}

/// Product of the sizes; Malformed beyond the bounds.
inline Result<std::int64_t> elementCount(
    const std::vector<std::int64_t>& shape, const std::string& what)
{
    if (shape.size() > kMaxTensorDimensions)
        return badTensor(what + " has more than 8 dimensions");
    std::int64_t count = 1;
    for (const auto size : shape) {
        if (size < 0 || size > kMaxTensorElements || (count *= size) > kMaxTensorElements)
            return badTensor(what + " has a shape that is out of range");
    }
    return count;
}

/// CSR to dense: `values` go to (row, column), everything else is 0. The shape is in bounds.
template <class T>
Result<std::vector<T>> densified(const std::vector<T>& values,
    const std::vector<std::int64_t>& rows, const std::vector<std::int64_t>& columns,
    const std::vector<std::int64_t>& shape, const std::string& what)
{
    if (shape.size() != 2)
        return badTensor(what + " is sparse without a shape of two dimensions");
    if (rows.size() != static_cast<std::size_t>(shape[0]) + 1 || columns.size() != values.size()
        || rows.front() != 0 || rows.back() != static_cast<std::int64_t>(values.size()))
        return badTensor(what + " has sparse indices that do not fit its values");
    std::vector<T> dense(static_cast<std::size_t>(shape[0] * shape[1]));
    for (std::int64_t row = 0; row < shape[0]; ++row) {
        const auto begin = rows[static_cast<std::size_t>(row)];
        const auto end = rows[static_cast<std::size_t>(row) + 1];
        if (begin > end || begin < 0 || end > rows.back())
            return badTensor(what + " has sparse rows that go backwards");
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
            if (columns[i] < 0 || columns[i] >= shape[1])
                return badTensor(what + " has a sparse column outside its shape");
            dense[static_cast<std::size_t>(row * shape[1] + columns[i])] = values[i];
        }
    }
    return dense;
}

} // namespace desk
