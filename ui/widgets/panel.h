// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QFrame>
#include <QList>
#include <QPalette>
#include <QWidget>

namespace desk {

/// A plain background in a palette role with hairlines at chosen edges. Opaque.
class Panel : public QWidget
{
    Q_OBJECT

public:
    enum Edge
    {
        NoEdge = 0,
        TopEdge = 1,
        BottomEdge = 2,
        LeftEdge = 4,
        RightEdge = 8
    };
    explicit Panel(
        QPalette::ColorRole role = QPalette::Window, int edges = NoEdge, QWidget* parent = nullptr);
    /// A dock asks its title bar for sizeHint() only, never for a fixed height.
    void setHint(QSize hint);
    QSize sizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    QPalette::ColorRole m_role;
    int m_edges;
    QSize m_hint;
};

/// A 1 px horizontal rule.
[[nodiscard]] Panel* makeRule(QWidget* parent = nullptr);

/// A bordered group of bare children: connection box, filter box, id field. Shows the focus ring on
/// its own border while `ringFor` (a bare line edit inside) has the focus.
class Box : public QFrame
{
    Q_OBJECT

public:
    explicit Box(QWidget* parent = nullptr);
    void setStripe(const QColor& color); ///< connection color at the left; invalid: none
    void setSplits(QList<int> xs); ///< vertical hairlines
    void setRingFor(QWidget* widget);

    bool eventFilter(QObject* watched, QEvent* event) override;

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    QColor m_stripe;
    QList<int> m_splits;
    bool m_hasRing = false;
};

/// A filled band with a status glyph and one line: verify verdict, "mixed versions", offline.
class Band final : public QWidget
{
    Q_OBJECT

public:
    explicit Band(QWidget* parent = nullptr);
    void setContent(
        int statusKind, const QString& strong, const QString& text); ///< int(StatusKind)
    [[nodiscard]] QString text() const;
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    int m_kind = 0;
    QString m_strong;
    QString m_text;
};

} // namespace desk
