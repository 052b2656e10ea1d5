// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/on_finished.h"

#include <QByteArray>
#include <QFuture>
#include <QObject>
#include <QTest>

#include <optional>
#include <utility>

namespace desk::test {

/// The result of a future, with the event loop running meanwhile. Tests only.
template <class T>
Result<T> await(QFuture<Result<T>> future, int patienceMs = 10'000)
{
    QObject guard;
    std::optional<Result<T>> result;
    onFinished(future, &guard, [&](Result<T> ended) { result.emplace(std::move(ended)); });
    if (!QTest::qWaitFor([&] { return result.has_value(); }, patienceMs))
        return Error { Error::Code::Backend, "the future did not end in the test's time" };
    return *std::move(result);
}

/// The word of the error's code, "none" for a value. QCOMPARE of Error::Code itself would take
/// desk::toString for a function whose result it may free.
template <class T>
QByteArray codeOf(const Result<T>& result)
{
    return result ? "none" : toString(result.error().code);
}

} // namespace desk::test
