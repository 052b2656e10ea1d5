// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/plot_math.h"

#include <QDateTime>
#include <QStringList>

#include <algorithm>
#include <array>
#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr double kPixelRoom =
        4096; // beyond the plot area; far below the raster engine's limits

    double niceStep(double rough)
    {
        if (!(rough > 0) || !std::isfinite(rough))
            return 1;
        const double power = std::pow(10.0, std::floor(std::log10(rough)));
        const double share = rough / power;
        const double nice = share <= 1.0 + 1e-9 ? 1
            : share <= 2.0 + 1e-9               ? 2
            : share <= 5.0 + 1e-9               ? 5
                                                : 10;
        return nice * power;
    }

    QString grouped(double value)
    {
        QString digits = QString::number(std::abs(value), 'f', 0);
        for (qsizetype at = digits.size() - 3; at > 0; at -= 3)
            digits.insert(at, u',');
        return value < 0 ? u"−"_s + digits : digits;
    }

    QString withMinus(QString text)
    {
        return text.replace(u'-', u'−');
    }

    // Digits after the point that tell neighboring ticks apart.
    int decimalsFor(double step)
    {
        if (step >= 1)
            return step == std::floor(step) ? 0 : 1;
        return std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 12);
    }

    QString tickText(double value, double step)
    {
        if (std::abs(value) < step * 1e-6)
            return u"0"_s;
        const double size = std::abs(value);
        if (size >= 1e15 || step < 1e-5)
            return withMinus(QString::number(value, 'g', 3));
        if (size >= 1e6 && step >= 1e5)
            return withMinus(QString::number(value / 1e6, 'f', decimalsFor(step / 1e6))) + u" M"_s;
        if (size >= 1e3 && step >= 1e3 && std::fmod(step, 1e3) == 0 && size < 1e6)
            return withMinus(QString::number(value / 1e3, 'f', decimalsFor(step / 1e3))) + u" k"_s;
        if (size >= 1e3 && step >= 1)
            return grouped(value);
        return withMinus(QString::number(value, 'f', decimalsFor(step)));
    }

    // Round numbers of seconds that people expect on a clock.
    double niceSeconds(double rough)
    {
        constexpr std::array<double, 17> steps { 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800,
            3600, 7200, 21600, 43200, 86400 };
        for (const double step : steps) {
            if (rough <= step)
                return step;
        }
        return std::ceil(rough / 86400) * 86400;
    }

    QString durationText(double seconds)
    {
        const auto total = static_cast<long long>(std::llround(seconds));
        if (total < 60)
            return u"%1 s"_s.arg(total);
        if (total < 3600)
            return u"%1:%2"_s.arg(total / 60).arg(total % 60, 2, 10, QChar(u'0'));
        if (total % 3600 == 0)
            return u"%1 h"_s.arg(total / 3600);
        return u"%1:%2 h"_s.arg(total / 3600).arg(total / 60 % 60, 2, 10, QChar(u'0'));
    }

    QString wallText(double seconds, double step)
    {
        const QDateTime time = QDateTime::fromMSecsSinceEpoch(qint64(seconds * 1000));
        if (step >= 86400)
            return time.toString(u"d MMM"_s);
        return time.toString(step < 60 ? u"HH:mm:ss"_s : u"HH:mm"_s);
    }

} // namespace

PlotRange zoomed(PlotRange range, double factor, double anchor, PlotRange limit, double minSpan)
{
    if (range.isEmpty() || !(factor > 0) || !std::isfinite(factor))
        return range;
    const double share = std::clamp((anchor - range.min) / range.span(), 0.0, 1.0);
    double span = std::max(range.span() * factor, minSpan);
    if (!limit.isEmpty() && span >= limit.span())
        return limit;
    PlotRange result { anchor - share * span, anchor + (1 - share) * span };
    return limit.isEmpty() ? result : panned(result, 0, limit);
}

PlotRange panned(PlotRange range, double delta, PlotRange limit)
{
    const double span = range.span();
    range.min += delta;
    range.max += delta;
    if (limit.isEmpty())
        return range;
    if (span >= limit.span())
        return limit;
    if (range.min < limit.min)
        return { limit.min, limit.min + span };
    if (range.max > limit.max)
        return { limit.max - span, limit.max };
    return range;
}

std::vector<Tick> linearTicks(PlotRange range, int maxTicks, double scale)
{
    std::vector<Tick> ticks;
    if (range.isEmpty() || maxTicks < 1 || !std::isfinite(range.span()))
        return ticks;
    const double low = range.min * scale;
    const double high = range.max * scale;
    const double step = niceStep((high - low) / maxTicks);
    const double first = std::ceil(low / step - 1e-9);
    for (double n = first; n * step <= high + step * 1e-9; ++n) {
        const double value = n * step;
        ticks.push_back({ value / scale, tickText(value, step) });
        if (ticks.size() > 64)
            break;
    }
    return ticks;
}

std::vector<Tick> logTicks(PlotRange range, int maxTicks)
{
    std::vector<Tick> ticks;
    if (range.isEmpty() || !(range.min > 0) || maxTicks < 1)
        return ticks;
    const double low = std::log10(range.min);
    const double high = std::log10(range.max);
    if (high - low < 1)
        return linearTicks(range, maxTicks);
    const double every = std::max(1.0, std::ceil((high - low) / maxTicks));
    for (double n = std::ceil(low - 1e-9); n <= high + 1e-9; n += every) {
        const double value = std::pow(10.0, n);
        ticks.push_back({ value, formatValue(value, 1) });
    }
    return ticks;
}

std::vector<Tick> xTicks(PlotRange range, XAxisKind kind, int maxTicks)
{
    if (range.isEmpty() || maxTicks < 1)
        return {};
    std::vector<Tick> ticks;
    if (kind == XAxisKind::Step) {
        const double step = std::max(1.0, niceStep(range.span() / maxTicks));
        for (double n = std::ceil(range.min / step - 1e-9); n * step <= range.max + 1e-6; ++n)
            ticks.push_back({ n * step, tickText(n * step, step) });
        return ticks;
    }
    const double step = niceSeconds(range.span() / maxTicks);
    for (double n = std::ceil(range.min / step - 1e-9); n * step <= range.max + 1e-6; ++n) {
        const double value = n * step;
        ticks.push_back(
            { value, kind == XAxisKind::Relative ? durationText(value) : wallText(value, step) });
    }
    return ticks;
}

double liveEnd(double first, double last)
{
    if (!(last > first))
        return first + 10;
    const double step = niceStep((last - first) / 10);
    return (std::floor(last / step + 1e-9) + 1) * step;
}

QString formatValue(double value, int significant)
{
    if (std::isnan(value))
        return u"NaN"_s;
    if (std::isinf(value))
        return value > 0 ? u"∞"_s : u"−∞"_s;
    const double size = std::abs(value);
    if (size == 0)
        return u"0"_s;
    if (size >= 1e15 || size < 1e-3) {
        QString text = QString::number(value, 'e', std::max(0, std::min(significant, 3) - 1));
        text.replace(u"e-0"_s, u"e-"_s).replace(u"e+0"_s, u"e"_s).replace(u"e+"_s, u"e"_s);
        if (text.startsWith(u'-'))
            text.replace(0, 1, u"−"_s);
        return text;
    }
    if (size >= 1e6)
        return withMinus(QString::number(value / 1e6, 'f', 1)) + u" M"_s;
    if (size >= 1e4)
        return withMinus(QString::number(value / 1e3, 'f', 1)) + u" k"_s;
    const int whole = static_cast<int>(std::floor(std::log10(size))) + 1;
    const int decimals = std::clamp(significant - std::max(whole, 1), 0, 12);
    return withMinus(QString::number(value, 'f', decimals));
}

QString formatStep(double step)
{
    return grouped(std::round(step));
}

QString formatXValue(double x, XAxisKind kind)
{
    switch (kind) {
    case XAxisKind::Step:
        return formatStep(x);
    case XAxisKind::Relative:
        return durationText(x);
    case XAxisKind::Wall:
        return wallText(x, 1);
    }
    return {};
}

PlotMap::PlotMap(QRectF area, PlotRange x, PlotRange y, bool isLogY)
    : m_area(area)
    , m_x(x)
    , m_y(y)
    , m_isLogY(isLogY)
{
    if (m_x.isEmpty())
        m_x.max = m_x.min + 1;
    if (m_isLogY) {
        const double low = m_y.min > 0 ? m_y.min : 1e-12;
        m_y = { std::log10(low), std::log10(std::max(m_y.max, low * 1.0001)) };
    }
    if (m_y.isEmpty())
        m_y = { m_y.min - 0.5, m_y.min + 0.5 };
}

double PlotMap::px(double x) const noexcept
{
    const double at = m_area.left() + (x - m_x.min) / m_x.span() * m_area.width();
    return std::clamp(at, m_area.left() - kPixelRoom, m_area.right() + kPixelRoom);
}

double PlotMap::py(double y) const noexcept
{
    if (m_isLogY)
        y = y > 0 ? std::log10(y) : m_y.min;
    const double at = m_area.bottom() - (y - m_y.min) / m_y.span() * m_area.height();
    return std::clamp(at, m_area.top() - kPixelRoom, m_area.bottom() + kPixelRoom);
}

double PlotMap::x(double px) const noexcept
{
    return m_x.min + (px - m_area.left()) / std::max(1.0, m_area.width()) * m_x.span();
}

double PlotMap::y(double py) const noexcept
{
    const double value =
        m_y.min + (m_area.bottom() - py) / std::max(1.0, m_area.height()) * m_y.span();
    return m_isLogY ? std::pow(10.0, value) : value;
}

} // namespace desk
