// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QList>
#include <QObject>

class QWidget;

namespace desk {

/// F6 and Shift+F6: moves the keyboard focus from one part of the window to the next, to where it
/// was there last. Also makes one Tab chain in reading order.
class Regions final : public QObject
{
    Q_OBJECT

public:
    explicit Regions(QObject* parent = nullptr);

    void add(QWidget* region, QWidget* firstFocus);
    void go(int direction); ///< +1 next, -1 previous; regions that are hidden are passed over
    /// Tab order over everything focusable, region by region. Creation order is not reading order.
    void chainTabs() const;

private:
    struct Region
    {
        QWidget* widget;
        QWidget* firstFocus;
    };
    [[nodiscard]] static QWidget* targetIn(const Region& region);

    QList<Region> m_regions;
};

} // namespace desk
