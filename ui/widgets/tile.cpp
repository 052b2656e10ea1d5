// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/tile.h"

#include "ui/widgets/span_label.h"

#include <QHBoxLayout>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace desk {

Tile::Tile(const QString& name, QWidget* parent)
    : QWidget(parent)
    , m_name(new SpanLabel({}, Face::Second, Tone::Secondary, this))
    , m_value(new SpanLabel({}, Face::Tile, Tone::Normal, this))
    , m_note(new SpanLabel({}, Face::Second, Tone::Secondary, this))
{
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(1);
    column->addWidget(m_name);
    column->addWidget(m_value);
    column->addWidget(m_note);
    m_value->setFixedHeight(px(24));
    setName(name);
}

void Tile::setName(const QString& name)
{
    m_name->setPlain(name);
    describe();
}

void Tile::setValue(const QString& value)
{
    m_value->setMarkup(u"<#>"_s + spanEscaped(value));
    describe();
}

void Tile::setNote(const QString& markup)
{
    m_note->setMarkup(markup);
    describe();
}

void Tile::describe()
{
    setAccessibleName(m_name->text() + u' ' + m_value->text());
    setAccessibleDescription(m_note->text());
}

SectionHeader::SectionHeader(const QString& title, const QString& note, QWidget* parent)
    : QWidget(parent)
    , m_title(new SpanLabel({}, Face::Bold, Tone::Normal, this))
    , m_note(new SpanLabel({}, Face::Second, Tone::Secondary, this))
{
    auto* row = new QHBoxLayout(this);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(px(8));
    row->addWidget(m_title);
    row->addWidget(m_note);
    row->addStretch();
    setMinimumHeight(px(24));
    setTitle(title);
    setNote(note);
}

void SectionHeader::setTitle(const QString& title)
{
    m_title->setPlain(title);
    setAccessibleName(title);
}

void SectionHeader::setNote(const QString& note)
{
    m_note->setPlain(note);
}

void SectionHeader::addWidget(QWidget* widget)
{
    layout()->addWidget(widget);
}

} // namespace desk
