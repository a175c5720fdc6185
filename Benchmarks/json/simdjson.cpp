// Arrays of floats read by simdjson, for the benchmark to load with dlopen.
//
// Both of its ways: the tree (DOM), whose code for this processor is picked when the program runs, and
// On-Demand, compiled for this very processor.
#include <simdjson.h>

using namespace simdjson;

static dom::parser treeParser;
static ondemand::parser demandParser;

extern "C" const char *simdjson_implementation() {
    // The library's own build for any processor would call itself "fallback": name what is used here.
#define TEXT_OF(word) #word
#define TEXT(word) TEXT_OF(word)
    static std::string name =
        get_active_implementation()->name() + ", on demand " TEXT(SIMDJSON_BUILTIN_IMPLEMENTATION);
    return name.c_str();
}

// Each reads `[…]` or `[[…],…]`, with SIMDJSON_PADDING readable bytes behind `length`, and returns how many numbers
// it stored, or -1.
extern "C" long simdjson_tree(const char *text, long length, float *output) {
    dom::element document;
    if (treeParser.parse(text, length, false).get(document)) return -1;
    long count = 0;
    for (dom::element element : dom::array(document)) {
        if (element.is_array()) {
            for (dom::element number : dom::array(element)) output[count++] = float(double(number));
        } else {
            output[count++] = float(double(element));
        }
    }
    return count;
}

extern "C" long simdjson_demand(const char *text, long length, float *output) {
    long count = 0;
    try {
        ondemand::document document = demandParser.iterate(text, length, length + SIMDJSON_PADDING);
        ondemand::array rows = document.get_array();
        for (auto element : rows) {
            ondemand::value value = element.value();
            if (value.type() == ondemand::json_type::array) {
                for (auto number : value.get_array()) output[count++] = float(number.get_double());
            } else {
                output[count++] = float(value.get_double());
            }
        }
    } catch (simdjson_error &) {
        return -1;
    }
    return count;
}

extern "C" long simdjson_demand_doubles(const char *text, long length, double *output) {
    long count = 0;
    try {
        ondemand::document document = demandParser.iterate(text, length, length + SIMDJSON_PADDING);
        for (auto number : document.get_array()) output[count++] = number.get_double();
    } catch (simdjson_error &) {
        return -1;
    }
    return count;
}
