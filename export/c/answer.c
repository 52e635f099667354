/*
 * Answers one row with an exported SavedModel: raw text and the bytes of files go in, all that the
 * model answers comes out, a line for each of its outputs. All preprocessing is inside the SavedModel: no logic of the library here, and no Python.
 *
 *     answer <saved_model_folder> <text_ops_folder> <column>=<text> <column>=@<file> ...
 *
 * TensorFlow reads its log level before `main` runs: start with TF_CPP_MIN_LOG_LEVEL=3 in the environment to keep its
 * messages off stderr. stdout has the answer alone.
 */
#define _POSIX_C_SOURCE 200809L /* open_memstream, strndup */

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

#define SIGNATURE "serving_default"
#define ERROR "error" /* the output that says why a row is not answered; "" for one that is */

/* The tokenizer's ops, which TF Serving has built in. */
static const char *const TEXT_OPS[] = {
    "_fast_bert_normalizer.so", "_fast_sentencepiece_tokenizer.so", "_fast_wordpiece_tokenizer.so",
    "_normalize_ops.so", "_regex_split_ops.so"};

/* One argument. `content` is what goes into the model; it points to `file` where `value` is "@..." and was read. */
typedef struct {
    const char *column;
    const char *value;
    char *file;
    const char *content;
    size_t size;
} Cell;

/* A part of a buffer that someone else owns. */
typedef struct {
    const char *data;
    size_t size;
} Bytes;

/* `signature` points into `meta_graph`. */
typedef struct {
    TF_Graph *graph;
    TF_Session *session;
    TF_Buffer *meta_graph;
    Bytes signature;
} Model;

/* ---- Failing ---- */

/* Says what is wrong and ends the process. */
_Noreturn static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("answer: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    /* Not `exit`, whose destructors could run under the feet of TensorFlow's threads. */
    _Exit(1);
}

_Noreturn static void fail_with_usage(void) {
    fputs("usage: answer <saved_model_folder> <text_ops_folder> <column>=<text> <column>=@<file> ...\n"
          "       one argument for each input of the model; <column>= for a missing one\n",
          stderr);
    _Exit(2);
}

static void *expect_memory(void *memory) {
    if (memory == NULL) fail("out of memory");
    return memory;
}

/* Fails with TensorFlow's words unless `status` is good; frees it. */
static void expect_ok(TF_Status *status, const char *action, const char *object) {
    if (TF_GetCode(status) != TF_OK) {
        char *message = expect_memory(strdup(TF_Message(status)));
        for (char *c = message; *c; c++) {
            if (*c == '\n' || *c == '\t') *c = ' ';
        }
        fail("cannot %s %s: %s", action, object, message);
    }
    TF_DeleteStatus(status);
}

/* ---- The row ---- */

static void read_file(const char *path, Cell *cell) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail("cannot open the file '%s' for %s: %s", path, cell->column, strerror(errno));
    size_t capacity = 0, received;
    do {
        if (cell->size == capacity) {
            capacity = capacity ? 2 * capacity : 65536;
            cell->file = expect_memory(realloc(cell->file, capacity));
        }
        received = fread(cell->file + cell->size, 1, capacity - cell->size, file);
        cell->size += received;
    } while (received > 0);
    if (ferror(file)) fail("cannot read the file '%s' for %s: %s", path, cell->column, strerror(errno));
    fclose(file);
    /* It would silently count as missing. */
    if (cell->size == 0) fail("the file '%s' for %s is empty; a missing one is %s=", path, cell->column, cell->column);
    cell->content = cell->file;
}

/* Cuts `argument` in two at its first equals sign. */
static Cell read_cell(char *argument) {
    char *equals = strchr(argument, '=');
    *equals = '\0';
    Cell cell = {.column = argument, .value = equals + 1};
    if (cell.value[0] == '@') {
        read_file(cell.value + 1, &cell);
    } else {
        cell.content = cell.value;
        cell.size = strlen(cell.value);
    }
    return cell;
}

/* ---- Signatures: the few fields of the MetaGraphDef that are needed, in protobuf's wire format ---- */

enum { META_GRAPH_SIGNATURES = 5, SIGNATURE_INPUTS = 1, SIGNATURE_OUTPUTS = 2, TENSOR_NAME = 1 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };                  /* of every map */
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* wire types */

/* Takes the first bytes off `message`. */
static Bytes take(Bytes *message, uint64_t size) {
    if (size > message->size) fail("the model's MetaGraphDef is cut off");
    Bytes taken = {message->data, (size_t)size};
    message->data += size;
    message->size -= (size_t)size;
    return taken;
}

static uint64_t take_varint(Bytes *message) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        unsigned char byte = (unsigned char)*take(message, 1).data;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    fail("the model's MetaGraphDef holds a number of more than 64 bits");
}

/* Takes the first field off `message`: its number and, if it is of bytes, its content. False at the end. */
static bool take_field(Bytes *message, uint64_t *number, Bytes *content) {
    if (message->size == 0) return false;
    uint64_t key = take_varint(message);
    *number = key >> 3;
    *content = (Bytes){"", 0};
    switch (key & 7) {
        case VARINT: take_varint(message); break;
        case FIXED64: take(message, 8); break;
        case BYTES: *content = take(message, take_varint(message)); break;
        case FIXED32: take(message, 4); break;
        default: fail("the model's MetaGraphDef holds a field of unknown type %d", (int)(key & 7));
    }
    return true;
}

/* The content of the field with this number; empty where there is none, as is the default of protobuf. */
static Bytes get_field(Bytes message, uint64_t wanted) {
    Bytes content, found = {"", 0};
    uint64_t number;
    while (take_field(&message, &number, &content)) {
        if (number == wanted) found = content;
    }
    return found;
}

/* Takes entries of a map off `message`, which is what is left of the message with the map. */
static bool take_entry(Bytes *message, uint64_t map, Bytes *key, Bytes *value) {
    Bytes content;
    uint64_t number;
    while (take_field(message, &number, &content)) {
        if (number != map) continue;
        *key = get_field(content, ENTRY_KEY);
        *value = get_field(content, ENTRY_VALUE);
        return true;
    }
    return false;
}

static bool find_entry(Bytes message, uint64_t map, const char *wanted, Bytes *value) {
    Bytes key;
    while (take_entry(&message, map, &key, value)) {
        if (key.size == strlen(wanted) && memcmp(key.data, wanted, key.size) == 0) return true;
    }
    return false;
}

static int count_entries(Bytes message, uint64_t map) {
    Bytes key, value;
    int count = 0;
    while (take_entry(&message, map, &key, &value)) count++;
    return count;
}

/* "question, image"; for what is said when failing. */
static char *join_keys(Bytes message, uint64_t map) {
    char *joined = NULL;
    size_t size;
    FILE *stream = expect_memory(open_memstream(&joined, &size));
    Bytes key, value;
    for (const char *comma = ""; take_entry(&message, map, &key, &value); comma = ", ") {
        fprintf(stream, "%s%.*s", comma, (int)key.size, key.data);
    }
    fclose(stream);
    return expect_memory(joined);
}

/* ---- The model ---- */

static void load_text_ops(const char *folder) {
    for (size_t i = 0; i < sizeof TEXT_OPS / sizeof *TEXT_OPS; i++) {
        size_t size = strlen(folder) + strlen(TEXT_OPS[i]) + 2;
        char *path = expect_memory(malloc(size));
        snprintf(path, size, "%s/%s", folder, TEXT_OPS[i]);
        TF_Status *status = TF_NewStatus();
        TF_Library *library = TF_LoadLibrary(path, status);
        expect_ok(status, "load the text ops", path);
        TF_DeleteLibraryHandle(library); /* The ops stay. */
        free(path);
    }
}

static Model load_model(const char *folder) {
    Model model = {.graph = TF_NewGraph(), .meta_graph = TF_NewBuffer()};
    TF_SessionOptions *options = TF_NewSessionOptions();
    TF_Status *status = TF_NewStatus();
    const char *tags[] = {"serve"};
    model.session =
        TF_LoadSessionFromSavedModel(options, NULL, folder, tags, 1, model.graph, model.meta_graph, status);
    expect_ok(status, "load the SavedModel", folder);
    TF_DeleteSessionOptions(options);
    Bytes meta_graph = {model.meta_graph->data, model.meta_graph->length};
    if (!find_entry(meta_graph, META_GRAPH_SIGNATURES, SIGNATURE, &model.signature)) {
        fail("the SavedModel '%s' has no signature '" SIGNATURE "'; it has: %s", folder,
             join_keys(meta_graph, META_GRAPH_SIGNATURES));
    }
    return model;
}

static void delete_model(Model *model) {
    TF_Status *status = TF_NewStatus();
    TF_DeleteSession(model->session, status);
    expect_ok(status, "close", "the session");
    TF_DeleteGraph(model->graph);
    TF_DeleteBuffer(model->meta_graph);
}

#define ANY_TYPE ((TF_DataType)0)

/* The tensor of the graph that is this input or output of the signature. */
static TF_Output find_tensor(const Model *model, uint64_t map, const char *key, TF_DataType type) {
    const char *kind = map == SIGNATURE_INPUTS ? "input" : "output";
    Bytes info;
    if (!find_entry(model->signature, map, key, &info)) {
        fail("the model has no %s '%s'; it has: %s", kind, key, join_keys(model->signature, map));
    }
    Bytes name = get_field(info, TENSOR_NAME); /* such as "StatefulPartitionedCall:1" */
    char *operation = expect_memory(strndup(name.data, name.size));
    char *colon = strrchr(operation, ':');
    long index = colon == NULL ? 0 : strtol(colon + 1, NULL, 10);
    if (colon != NULL) *colon = '\0';
    TF_Output tensor = {TF_GraphOperationByName(model->graph, operation), (int)index};
    if (tensor.oper == NULL || index < 0 || index >= TF_OperationNumOutputs(tensor.oper)) {
        fail("the tensor '%s:%ld' of the %s '%s' is not in the graph", operation, index, kind, key);
    }
    if (type != ANY_TYPE && TF_OperationOutputType(tensor) != type) {
        fail("the tensor '%s:%ld' of the %s '%s' is of type %d instead of %d", operation, index, kind, key,
             (int)TF_OperationOutputType(tensor), (int)type);
    }
    free(operation);
    return tensor;
}

/* ---- The answer ---- */

/* A batch of one string, which is not copied: the cell must live as long as the tensor. */
static TF_Tensor *make_tensor(const Cell *cell) {
    const int64_t shape[] = {1};
    TF_Tensor *tensor = expect_memory(TF_AllocateTensor(TF_STRING, shape, 1, sizeof(TF_TString)));
    TF_TString *string = TF_TensorData(tensor);
    TF_StringInit(string);
    TF_StringAssignView(string, cell->content, cell->size);
    return tensor;
}

static void find_inputs(const Model *model, const Cell *cells, int count, TF_Output *inputs) {
    for (int i = 0; i < count; i++) {
        inputs[i] = find_tensor(model, SIGNATURE_INPUTS, cells[i].column, TF_STRING);
        for (int j = 0; j < i; j++) {
            if (strcmp(cells[i].column, cells[j].column) == 0) fail("%s is given twice", cells[i].column);
        }
    }
    if (count != count_entries(model->signature, SIGNATURE_INPUTS)) {
        fail("give one argument for each input, <column>= for a missing one; the model has: %s",
             join_keys(model->signature, SIGNATURE_INPUTS));
    }
}

/* "question=what? image=@1.png"; for what is said when failing. */
static char *join_cells(const Cell *cells, int count) {
    char *joined = NULL;
    size_t size;
    FILE *stream = expect_memory(open_memstream(&joined, &size));
    for (int i = 0; i < count; i++) fprintf(stream, "%s%s=%s", i ? " " : "", cells[i].column, cells[i].value);
    fclose(stream);
    return expect_memory(joined);
}

/* An output of the signature, and what the model answered. */
typedef struct {
    char *name;
    TF_Tensor *tensor;
} Result;

static int compare_names(const void *one, const void *other) {
    return strcmp(((const Result *)one)->name, ((const Result *)other)->name);
}

/* Runs the model; there is a result for each of its outputs. */
static void run(const Model *model, const Cell *cells, int count, Result *results, int result_count) {
    TF_Output *inputs = expect_memory(calloc((size_t)count, sizeof *inputs));
    TF_Tensor **tensors = expect_memory(calloc((size_t)count, sizeof *tensors));
    find_inputs(model, cells, count, inputs);
    for (int i = 0; i < count; i++) tensors[i] = make_tensor(&cells[i]);
    TF_Output *outputs = expect_memory(calloc((size_t)result_count, sizeof *outputs));
    TF_Tensor **answers = expect_memory(calloc((size_t)result_count, sizeof *answers));
    Bytes rest = model->signature, key, value;
    for (int i = 0; i < result_count && take_entry(&rest, SIGNATURE_OUTPUTS, &key, &value); i++) {
        results[i].name = expect_memory(strndup(key.data, key.size));
    }
    /* A map has no order, and comes in another one each time it is read. */
    qsort(results, (size_t)result_count, sizeof *results, compare_names);
    for (int i = 0; i < result_count; i++) {
        outputs[i] = find_tensor(model, SIGNATURE_OUTPUTS, results[i].name, ANY_TYPE);
    }
    TF_Status *status = TF_NewStatus();
    TF_SessionRun(model->session, NULL, inputs, tensors, count, outputs, answers, result_count, NULL, 0, NULL, status);
    char *row = join_cells(cells, count);
    expect_ok(status, "answer", row);
    free(row);
    for (int i = 0; i < result_count; i++) results[i].tensor = answers[i];
    for (int i = 0; i < count; i++) TF_DeleteTensor(tensors[i]);
    free(answers);
    free(outputs);
    free(tensors);
    free(inputs);
}

/* Fails where the model does not answer the row. */
static void expect_answer(const Result *results, int count, const Cell *cells, int cell_count) {
    for (int i = 0; i < count; i++) {
        if (strcmp(results[i].name, ERROR) != 0 || TF_TensorType(results[i].tensor) != TF_STRING) continue;
        const TF_TString *reason = TF_TensorData(results[i].tensor);
        if (TF_StringGetSize(reason) > 0) {
            fail("cannot answer '%s': %.*s", join_cells(cells, cell_count), (int)TF_StringGetSize(reason),
                 TF_StringGetDataPointer(reason));
        }
    }
}

/* "probabilities 0.25 0.75", or "label red". */
static void print_result(const Result *result) {
    fputs(result->name, stdout);
    const void *data = TF_TensorData(result->tensor);
    for (int64_t i = 0; i < TF_TensorElementCount(result->tensor); i++) {
        if (TF_TensorType(result->tensor) == TF_STRING) {
            const TF_TString *text = (const TF_TString *)data + i;
            printf(" %.*s", (int)TF_StringGetSize(text), TF_StringGetDataPointer(text));
        } else if (TF_TensorType(result->tensor) == TF_FLOAT) {
            printf(" %.9g", ((const float *)data)[i]);
        } else {
            fail("the output '%s' is neither text nor numbers of 32 bits", result->name);
        }
    }
    putchar('\n');
}

int main(int argc, char **argv) {
    if (argc < 4) fail_with_usage();
    for (int i = 3; i < argc; i++) {
        if (argv[i][0] == '=' || strchr(argv[i], '=') == NULL) fail_with_usage();
    }
    int count = argc - 3;
    Cell *cells = expect_memory(calloc((size_t)count, sizeof *cells));
    for (int i = 0; i < count; i++) cells[i] = read_cell(argv[3 + i]);

    load_text_ops(argv[2]);
    Model model = load_model(argv[1]);
    int result_count = count_entries(model.signature, SIGNATURE_OUTPUTS);
    Result *results = expect_memory(calloc((size_t)result_count, sizeof *results));
    run(&model, cells, count, results, result_count);
    expect_answer(results, result_count, cells, count);
    for (int i = 0; i < result_count; i++) {
        if (strcmp(results[i].name, ERROR) != 0) print_result(&results[i]);
    }
    if (fflush(stdout) != 0) fail("cannot write the answer: %s", strerror(errno));

    for (int i = 0; i < result_count; i++) {
        free(results[i].name);
        TF_DeleteTensor(results[i].tensor);
    }
    free(results);
    delete_model(&model);
    for (int i = 0; i < count; i++) free(cells[i].file);
    free(cells);
    return 0;
}
