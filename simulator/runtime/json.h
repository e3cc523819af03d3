// One JSON object, written name by name.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace host_cann {

class JsonObject {
 public:
  JsonObject &Add(const std::string &name, const std::string &text) { return Put(name, Quoted(text)); }
  JsonObject &Add(const std::string &name, const char *text) { return Add(name, std::string(text)); }
  JsonObject &Add(const std::string &name, bool value) { return Put(name, value ? "true" : "false"); }
  JsonObject &Add(const std::string &name, int64_t value) { return Put(name, std::to_string(value)); }
  JsonObject &Add(const std::string &name, double value) {  // JSON has no NaN and no infinity
    if (std::isnan(value)) return Add(name, "nan");
    return std::isinf(value) ? Add(name, value > 0 ? "inf" : "-inf") : Put(name, Print("%.9g", value));
  }
  JsonObject &Add(const std::string &name, const std::vector<int64_t> &values) {
    std::string text;
    for (const auto value : values) text += (text.empty() ? "" : ", ") + std::to_string(value);
    return Put(name, "[" + text + "]");
  }
  JsonObject &Add(const std::string &name, const JsonObject &object) { return Put(name, object.text()); }
  JsonObject &AddMicroseconds(const std::string &name, double value) { return Put(name, Print("%.3f", value)); }

  std::string text() const { return "{" + text_ + "}"; }

 private:
  JsonObject &Put(const std::string &name, const std::string &json) {
    text_ += (text_.empty() ? "" : ", ") + Quoted(name) + ": " + json;
    return *this;
  }

  template <class Value>
  static std::string Print(const char *format, Value value) {
    char text[48];
    std::snprintf(text, sizeof text, format, value);
    return text;
  }

  // A graph may hold any bytes for a text: those that are no ASCII are written as characters of their numbers.
  static std::string Quoted(const std::string &text) {
    std::string quoted = "\"";
    for (const unsigned char c : text) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c < 0x20 || c >= 0x7f ? Print("\\u%04x", unsigned{c}) : std::string(1, static_cast<char>(c));
    }
    return quoted + "\"";
  }

  std::string text_;
};

}  // namespace host_cann
