/*
 * Conversations of the native surface by the Java SDK: called, streamed in both modes, and refused.
 *
 * Usage: java -cp SDK Generations.java BASE_URL KEY FILE_ID; prints one JSON object a line. `chatyuan-large-v2` must be
 * bound to a model that answers.
 */

import com.alibaba.dashscope.aigc.generation.Generation;
import com.alibaba.dashscope.aigc.generation.GenerationParam;
import com.alibaba.dashscope.aigc.generation.GenerationResult;
import com.alibaba.dashscope.common.Message;
import com.alibaba.dashscope.common.Role;
import com.alibaba.dashscope.common.Status;
import com.alibaba.dashscope.exception.ApiException;
import com.alibaba.dashscope.utils.JsonUtils;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

public class Generations {
  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

  private static String baseUrl;
  private static String key;
  private static String fileId;

  public static void main(String[] arguments) throws Exception {
    baseUrl = arguments[0];
    key = arguments[1];
    fileId = arguments[2];
    say("page", new Generation("http", baseUrl).call(page()));
    say("message", new Generation("http", baseUrl).call(about(fileId).resultFormat("message").build()));
    say("cumulative", stream(about(fileId).resultFormat("message").incrementalOutput(false).build()));
    say("incremental", stream(about(fileId).resultFormat("message").incrementalOutput(true).build()));
    say("page_streamed", stream(page()));
    attempt("unknown_file", about("file-fe-00000000000000000000ffff").build());
    attempt("unknown_model", about(fileId).model("qwen-short").build());
    attempt("bad_key", about(fileId).apiKey("sk-nobody").build());
    System.exit(0); // the SDK's pool of connections would keep the process for a minute
  }

  private static GenerationParam page() {
    String prompt = "翻译成英文：春天来了，花朵都开了。";
    return GenerationParam.builder().apiKey(key).model("chatyuan-large-v2").prompt(prompt).incrementalOutput(false).build();
  }

  private static GenerationParam.GenerationParamBuilder<?, ?> about(String fileId) {
    Message document = Message.builder().role(Role.SYSTEM.getValue()).content("fileid://" + fileId).build();
    Message question =
        Message.builder().role(Role.USER.getValue()).content("How long is the warranty of the pump?").build();
    return GenerationParam.builder().apiKey(key).model("qwen-long").messages(Arrays.asList(document, question));
  }

  private static List<GenerationResult> stream(GenerationParam param) throws Exception {
    List<GenerationResult> results = new ArrayList<>();
    new Generation("http", baseUrl).streamCall(param).blockingForEach(results::add);
    return results;
  }

  private static void attempt(String step, GenerationParam param) throws Exception {
    List<Map<String, Object>> errors = new ArrayList<>();
    try {
      new Generation("http", baseUrl).call(param);
    } catch (ApiException error) {
      errors.add(described(error));
    }
    try {
      new Generation("http", baseUrl).streamCall(param).blockingForEach(result -> {});
    } catch (ApiException error) {
      errors.add(described(error));
    }
    say(step, errors);
  }

  private static Map<String, Object> described(ApiException error) {
    Status status = error.getStatus();
    Map<String, Object> seen = new LinkedHashMap<>();
    seen.put("status", status.getStatusCode());
    seen.put("code", status.getCode());
    seen.put("message", status.getMessage());
    seen.put("request_id", status.getRequestId());
    return seen;
  }

  private static void say(String step, Object value) {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put(step, value);
    OUT.println(JsonUtils.toJson(line));
  }
}
