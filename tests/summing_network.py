"""A network whose every answer can be worked out by hand."""

import onnx


def summing_network(n_observations: int, scale: float) -> bytes:
    """ONNX content: sums the first observed value over a session, times ``scale``, and wants its side.

    With the sum s the logits are (-s, 0.5, s), so that the action is short below -0.5, long above 0.5, else flat.
    The hidden state is the sum; the cell state counts steps.
    """
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["": 20],
         metadata_props: ["rl_intraday.network": "{{'n_observations': {n_observations}, 'n_actions': 3,
             'lstm_layers': 1, 'lstm_hidden_size': 1}}"]>
        policy (float[b, {n_observations}] obs, float[1, b, 1] h, float[1, b, 1] c, float[b] episode_start)
            => (float[b, 3] logits, float[1, b, 1] h_next, float[1, b, 1] c_next)
        <float[1] one = {{1.0}}, float[1] scale = {{{scale}}}, int64[2] axes = {{0, 2}}, int64[1] first = {{0}},
         int64[1] second = {{1}}, int64[1] lane_axis = {{0}}, float[1, 3] side = {{-1.0, 0.0, 1.0}},
         float[1, 3] offset = {{0.0, 0.5, 0.0}}>
        {{
            kept = Sub(one, episode_start)
            keep = Unsqueeze(kept, axes)
            value = Slice(obs, first, second, second)
            scaled = Mul(value, scale)
            step = Unsqueeze(scaled, lane_axis)
            h_kept = Mul(h, keep)
            h_next = Add(h_kept, step)
            c_kept = Mul(c, keep)
            c_next = Add(c_kept, one)
            sum = Squeeze(h_next, lane_axis)
            sided = Mul(sum, side)
            logits = Add(sided, offset)
        }}
    """)
    model.metadata_props[0].value = model.metadata_props[0].value.replace("'", '"')
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()
