// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/on_finished.h"

#include <QByteArray>
#include <QEventLoop>
#include <QFuture>
#include <QTimer>

#include <optional>
#include <utility>

namespace desk::test {

/// The result of a future, with the event loop running meanwhile. Tests only.
template <class T>
Result<T> await(QFuture<Result<T>> future, int patienceMs = 10'000)
{
    QEventLoop loop;
    std::optional<Result<T>> result;
    onFinished(future, &loop, [&](Result<T> ended) {
        result.emplace(std::move(ended));
        loop.quit();
    });
    QTimer::singleShot(patienceMs, &loop, &QEventLoop::quit);
    if (!result)
        loop.exec();
    if (!result)
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
