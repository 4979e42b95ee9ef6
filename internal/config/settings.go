package config

import (
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
)

// Setting describes a setting for -help and docs/settings.md.
type Setting struct {
	Group, Name, Default, Example, Help string
	// Secret settings may be given as NAME_FILE as well and are never printed.
	Secret bool
}

// Settings lists every setting, group by group, in the order of [Config].
func Settings() (all []Setting) {
	group := ""
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		tag := field.Tag
		if tag.Get("group") != "" {
			group = tag.Get("group")
		}
		if tag.Get("env") == "" {
			continue
		}
		all = append(all, Setting{
			Group:   group,
			Name:    tag.Get("env"),
			Default: tag.Get("envDefault"),
			Example: tag.Get("example"),
			Help:    tag.Get("help"),
			Secret:  tag.Get("secret") == "true",
		})
	}
	return all
}

func settingNamed(name string) Setting {
	all := Settings()
	return all[slices.IndexFunc(all, func(s Setting) bool { return s.Name == name })]
}

// LogValue shows the settings without their secrets.
func (c Config) LogValue() slog.Value {
	v := reflect.ValueOf(c)
	var attrs []slog.Attr
	for _, field := range reflect.VisibleFields(v.Type()) {
		value := v.FieldByIndex(field.Index)
		switch name := field.Tag.Get("env"); {
		case name == "":
		case field.Tag.Get("secret") == "true":
			attrs = append(attrs, slog.Bool(name+" set", !value.IsZero()))
		default:
			attrs = append(attrs, slog.String(name, fmt.Sprint(value.Interface())))
		}
	}
	return slog.GroupValue(attrs...)
}

// Format shows the settings without their secrets under every verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.LogValue().String()) }
