// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/natural_order.h"

namespace desk {

int compareNaturally(QStringView a, QStringView b) noexcept
{
    qsizetype i = 0;
    qsizetype j = 0;
    while (i < a.size() && j < b.size()) {
        if (a.at(i).isDigit() && b.at(j).isDigit()) {
            const auto endOf = [](QStringView text, qsizetype at) {
                while (at < text.size() && text.at(at).isDigit())
                    ++at;
                return at;
            };
            const auto skipZeros = [](QStringView text, qsizetype at, qsizetype end) {
                while (at + 1 < end && text.at(at) == u'0')
                    ++at;
                return at;
            };
            const qsizetype endA = endOf(a, i);
            const qsizetype endB = endOf(b, j);
            const QStringView numberA =
                a.sliced(skipZeros(a, i, endA)).first(endA - skipZeros(a, i, endA));
            const QStringView numberB =
                b.sliced(skipZeros(b, j, endB)).first(endB - skipZeros(b, j, endB));
            if (numberA.size() != numberB.size())
                return numberA.size() < numberB.size() ? -1 : 1;
            const int order = numberA.compare(numberB);
            if (order != 0)
                return order;
            i = endA;
            j = endB;
            continue;
        }
        const QChar x = a.at(i).toCaseFolded();
        const QChar y = b.at(j).toCaseFolded();
        if (x != y)
            return x < y ? -1 : 1;
        ++i;
        ++j;
    }
    return int(a.size() - i) - int(b.size() - j);
}

} // namespace desk
