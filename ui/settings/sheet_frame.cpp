// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/settings/sheet_frame.h"

#include "ui/style/fonts.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/span_label.h"

#include <QHBoxLayout>
#include <QKeyEvent>
#include <QScrollArea>
#include <QToolButton>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace desk {

SheetFrame::SheetFrame(const QString& objectName, const QString& title, QWidget* parent)
    : QWidget(parent)
    , m_title(new SpanLabel({}, Face::Title))
    , m_body(new QVBoxLayout)
    , m_foot(new QHBoxLayout)
{
    setObjectName(objectName);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    auto* head = new Panel(QPalette::Window, Panel::BottomEdge);
    auto* headRow = new QHBoxLayout(head);
    headRow->setContentsMargins(px(16), 0, px(8), 0);
    headRow->addWidget(m_title, 1);
    auto* close = makeIconButton(u"close"_s, tr("Close"));
    close->setObjectName(objectName + u".close"_s);
    connect(close, &QToolButton::clicked, this, &SheetFrame::closeRequested);
    headRow->addWidget(close);
    head->setFixedHeight(px(40));
    column->addWidget(head);
    auto* area = new QScrollArea;
    area->setFrameShape(QFrame::NoFrame);
    area->setWidgetResizable(true);
    area->setFocusPolicy(Qt::NoFocus);
    area->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    area->setAccessibleName(title);
    area->viewport()->setBackgroundRole(QPalette::Window);
    auto* content = new QWidget;
    content->setBackgroundRole(QPalette::Window);
    content->setLayout(m_body);
    m_body->setContentsMargins(px(16), px(16), px(16), px(16));
    m_body->setSpacing(px(4));
    area->setWidget(content);
    column->addWidget(area, 1);
    auto* footPanel = new Panel(QPalette::Window, Panel::TopEdge);
    footPanel->setLayout(m_foot);
    m_foot->setContentsMargins(px(16), px(10), px(16), px(10));
    m_foot->setSpacing(px(8));
    column->addWidget(footPanel);
    setTitle(title);
}

QSize SheetFrame::sizeHint() const
{
    return { px(440), px(600) };
}

void SheetFrame::setTitle(const QString& title)
{
    m_title->setPlain(title);
    setAccessibleName(title);
}

void SheetFrame::keyPressEvent(QKeyEvent* event)
{
    if (event->key() == Qt::Key_Escape)
        Q_EMIT closeRequested();
    else
        QWidget::keyPressEvent(event);
}

void SheetFrame::addField(const QString& label, QWidget* field, const QString& hint)
{
    auto* name = new SpanLabel({}, Face::Second, Tone::Secondary);
    name->setPlain(label);
    name->setBuddy(field);
    if (field->accessibleName().isEmpty())
        field->setAccessibleName(label);
    m_body->addWidget(name);
    m_body->addWidget(field);
    if (!hint.isEmpty()) {
        auto* text = new QLabel(hint);
        text->setWordWrap(true);
        text->setTextFormat(Qt::PlainText);
        text->setFont(fontOf(Face::Second));
        text->setForegroundRole(QPalette::PlaceholderText);
        m_body->addWidget(text);
        field->setAccessibleDescription(hint);
    }
    m_body->addSpacing(px(10));
}

} // namespace desk
