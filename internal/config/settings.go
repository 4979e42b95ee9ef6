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
	// Range is the least and the greatest value, as in "0s to 24h". It is empty if the type is all that limits
	// the value.
	Range string
	// Secret settings may be given as NAME_FILE as well and are never printed.
	Secret bool

	field reflect.StructField
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
			Range:   tag.Get("range"),
			Secret:  tag.Get("secret") == "true",
			field:   field,
		})
	}
	return all
}

func settingNamed(name string) Setting {
	all := Settings()
	return all[slices.IndexFunc(all, func(s Setting) bool { return s.Name == name })]
}

// valueIn is the setting's value in a configuration.
func (s Setting) valueIn(c *Config) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByIndex(s.field.Index)
}

// LogValue shows the settings without their secrets.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, s := range Settings() {
		if value := s.valueIn(&c); s.Secret {
			attrs = append(attrs, slog.Bool(s.Name+" set", !value.IsZero()))
		} else {
			attrs = append(attrs, slog.String(s.Name, fmt.Sprint(value.Interface())))
		}
	}
	return slog.GroupValue(attrs...)
}

// Format shows the settings without their secrets under every verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.LogValue().String()) }
