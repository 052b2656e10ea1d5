// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/format.h"

#include <QCoreApplication>
#include <QDateTime>
#include <QLocale>
#include <QTimeZone>

#include <algorithm>
#include <array>
#include <cmath>

using namespace Qt::StringLiterals;

namespace desk::format {

namespace {

    const QLocale& plainLocale()
    {
        static const QLocale grouped = [] {
            QLocale locale = QLocale::c();
            locale.setNumberOptions(QLocale::DefaultNumberOptions);
            return locale;
        }();
        return grouped;
    }

    QString withMinus(QString text)
    {
        if (text.startsWith(u'-'))
            text[0] = u'\u2212'; // as wide as "+", so that columns of signed numbers align
        return text;
    }

    QString specialName(double value)
    {
        if (std::isnan(value))
            return u"NaN"_s;
        return value > 0 ? u"Inf"_s : u"\u2212Inf"_s;
    }

    /// "6.70e-06" as "6.70e-6".
    QString shortExponent(QString text)
    {
        qsizetype at = text.indexOf(u'e');
        if (at < 0)
            return text;
        at += 2;
        while (at < text.size() - 1 && text.at(at) == u'0')
            text.remove(at, 1);
        if (text.at(at - 1) == u'+')
            text.remove(at - 1, 1);
        return text;
    }

    QDateTime toDateTime(Time time)
    {
        const auto ms =
            std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
        return QDateTime::fromMSecsSinceEpoch(ms.count(), QTimeZone::utc());
    }

} // namespace

QString unknown()
{
    return u"\u2014"_s;
}

QString number(double value, int significant)
{
    if (!std::isfinite(value))
        return specialName(value);
    const double size = std::abs(value);
    const int digits = std::clamp(significant, 1, 17);
    const int whole = size < 1.0 ? 0 : int(std::floor(std::log10(size)));
    const int decimals = std::max(0, digits - 1 - whole);
    // Below ten units of the last place two digits or less would be left.
    if (value != 0.0 && (size < 10.0 * std::pow(10.0, -decimals) || size >= 1e7))
        return withMinus(
            shortExponent(plainLocale().toString(value, 'e', std::min(2, digits - 1))));
    return withMinus(plainLocale().toString(value, 'f', decimals));
}

QString number(const std::optional<double>& value, int significant)
{
    return value ? number(*value, significant) : unknown();
}

QString signedNumber(double value, int significant)
{
    const QString text = number(value, significant);
    return std::isfinite(value) && value > 0 ? u'+' + text : text;
}

QString exactNumber(double value)
{
    if (!std::isfinite(value))
        return specialName(value);
    return shortExponent(
        QLocale::c().toString(value, 'g', QLocale::FloatingPointShortest).remove(u','));
}

QString count(std::int64_t value)
{
    return withMinus(plainLocale().toString(qlonglong(value)));
}

QString shortCount(double value)
{
    if (!std::isfinite(value))
        return specialName(value);
    if (std::abs(value) < 10'000)
        return count(std::llround(value));
    static constexpr std::array kUnits { u'k', u'M', u'G', u'T' };
    std::size_t unit = 0;
    double scaled = value / 1000;
    while (std::abs(scaled) >= 999.5 && unit + 1 < kUnits.size()) {
        scaled /= 1000;
        ++unit;
    }
    const int decimals = std::abs(scaled) < 100 ? 1 : 0;
    return withMinus(plainLocale().toString(scaled, 'f', decimals)) + u' ' + kUnits.at(unit);
}

QString bytes(std::uint64_t value)
{
    static const std::array kUnits { u"KiB"_s, u"MiB"_s, u"GiB"_s, u"TiB"_s };
    if (value < 1024)
        return QString::number(value) + u" B"_s;
    double scaled = double(value) / 1024;
    std::size_t unit = 0;
    while (scaled >= 1023.5 && unit + 1 < kUnits.size()) {
        scaled /= 1024;
        ++unit;
    }
    const int decimals = scaled < 10 ? 2 : (scaled < 100 ? 1 : 0);
    return plainLocale().toString(scaled, 'f', decimals) + u' ' + kUnits.at(unit);
}

QString percent(double fraction)
{
    if (!std::isfinite(fraction))
        return specialName(fraction);
    const double value = fraction * 100;
    if (value > 0 && value < 0.01)
        return u"< 0.01 %"_s;
    const int decimals = std::abs(value) < 10 ? 2 : (std::abs(value) < 100 ? 1 : 0);
    return plainLocale().toString(value, 'f', decimals) + u" %"_s;
}

QString span(std::chrono::seconds length, int units)
{
    struct Unit
    {
        std::int64_t seconds;
        QStringView name;
    };
    static constexpr std::array<Unit, 4> kUnits { { { 86400, u"d" }, { 3600, u"h" }, { 60, u"min" },
        { 1, u"s" } } };
    std::int64_t rest = std::max<std::int64_t>(0, length.count());
    QString text;
    int written = 0;
    for (std::size_t i = 0; i < kUnits.size() && written < units; ++i) {
        const auto& unit = kUnits.at(i);
        const std::int64_t n = rest / unit.seconds;
        const bool isLast = i + 1 == kUnits.size();
        if (n == 0 && !(isLast && written == 0)) {
            if (written > 0)
                break; // "3 h 12 s" would read like a precise value
            continue;
        }
        if (written > 0)
            text += u' ';
        text += QString::number(n) + u' ' + unit.name.toString();
        rest -= n * unit.seconds;
        ++written;
    }
    return text;
}

QString age(Time then, Time now, int units)
{
    return span(std::chrono::duration_cast<std::chrono::seconds>(now - then), units);
}

QString age(const std::optional<Time>& then, Time now, int units)
{
    return then ? age(*then, now, units) : unknown();
}

QString seconds(double length)
{
    if (!(length >= 0) || length >= 60)
        return length >= 60 ? stopwatch(std::chrono::seconds(std::llround(length))) : unknown();
    const int decimals = length < 1 ? 2 : length < 10 ? 1 : 0;
    return plainLocale().toString(length, 'f', decimals) + u" s"_s;
}

QString stopwatch(std::chrono::seconds length)
{
    const std::int64_t all = std::max<std::int64_t>(0, length.count());
    const auto two = [](std::int64_t n) { return QString::number(n).rightJustified(2, u'0'); };
    const QString tail = two(all / 60 % 60) + u':' + two(all % 60);
    return all < 3600 ? tail : QString::number(all / 3600) + u':' + tail;
}

QString clockTime(Time time)
{
    return toDateTime(time).toLocalTime().toString(u"HH:mm:ss"_s);
}

QString isoTime(Time time)
{
    return toDateTime(time).toString(u"yyyy-MM-dd HH:mm:ss'Z'"_s);
}

QString middleElided(QStringView text, qsizetype length)
{
    if (text.size() <= length || length < 3)
        return text.toString();
    const qsizetype head = length / 2;
    const qsizetype tail = length - head - 1;
    return text.first(head).toString() + u'\u2026' + text.last(tail).toString();
}

QString lastSegment(QStringView name)
{
    const qsizetype slash = name.lastIndexOf(u'/');
    return (slash < 0 ? name : name.sliced(slash + 1)).toString();
}

QString baseModel(QStringView name, bool isStandIn)
{
    if (name.isEmpty())
        return unknown();
    const QString id = lastSegment(name);
    return isStandIn ? QCoreApplication::translate("format", "%1 (stand-in)").arg(id) : id;
}

QString fromUtf8(std::string_view text)
{
    return QString::fromUtf8(text.data(), qsizetype(text.size()));
}

std::string toUtf8(QStringView text)
{
    return text.toUtf8().toStdString();
}

} // namespace desk::format
